"""Which stored events a replay pool holds, one policy a file; :mod:`strategies.policies.registry` names them."""
