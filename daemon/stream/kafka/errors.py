"""From kafka-python's errors to ours. ``tests/stream/kafka/test_errors.py`` fails on one that is not mapped."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from kafka import errors as foreign

from daemon.errors import (
    Fenced,
    PositionLost,
    Rebalanced,
    RecordRefused,
    StreamDenied,
    StreamError,
    StreamUnavailable,
    TopicMissing,
)

_GROUPS: Mapping[type[StreamError], Sequence[type[foreign.KafkaError]]] = {
    TopicMissing: (foreign.UnknownTopicOrPartitionError, foreign.UnknownTopicIdError),
    StreamUnavailable: (
        foreign.RetriableError,
        foreign.BrokerNotAvailableError,
        foreign.UnknownBrokerIdError,
        foreign.StaleControllerEpochError,
        foreign.StaleBrokerEpochError,
        foreign.BrokerIdNotRegisteredError,
        foreign.LogDirNotFoundError,
        foreign.ReassignmentInProgressError,
        foreign.NewLeaderElectedError,
        foreign.QuotaViolationError,
        foreign.OffsetMovedToTieredStorageError,
        foreign.UnknownControllerIdError,
        foreign.InconsistentClusterIdError,
        foreign.CorruptRecordError,
        foreign.KafkaProtocolError,
        foreign.OperationNotAttemptedError,
        foreign.UnknownError,
    ),
    StreamDenied: (
        foreign.AuthorizationError,
        foreign.SaslAuthenticationFailedError,
        foreign.UnsupportedSaslMechanismError,
        foreign.IllegalSaslStateError,
        foreign.SecurityDisabledError,
        foreign.DelegationTokenAuthDisabledError,
        foreign.DelegationTokenNotFoundError,
        foreign.DelegationTokenOwnerMismatchError,
        foreign.DelegationTokenRequestNotAllowedError,
        foreign.DelegationTokenExpiredError,
        foreign.InvalidPrincipalTypeError,
        foreign.PrincipalDeserializationFailureError,
        foreign.UnacceptableCredentialError,
        foreign.PolicyViolationError,
    ),
    Rebalanced: (
        foreign.CommitFailedError,
        foreign.IllegalGenerationError,
        foreign.UnknownMemberIdError,
        foreign.RebalanceInProgressError,
        foreign.MemberIdRequiredError,
        foreign.StaleMemberEpochError,
        foreign.FencedMemberEpochError,
        foreign.FencedStateEpochError,
    ),
    Fenced: (
        foreign.ProducerFencedError,
        foreign.InvalidProducerEpochError,
        foreign.TransactionCoordinatorFencedError,
        foreign.FencedInstanceIdError,
        foreign.UnreleasedInstanceIdError,
    ),
    PositionLost: (
        foreign.OffsetOutOfRangeError,
        foreign.LogTruncationError,
        foreign.NoOffsetForPartitionError,
        foreign.PositionOutOfRangeError,
    ),
    RecordRefused: (
        foreign.MessageSizeTooLargeError,
        foreign.RecordListTooLargeError,
        foreign.InvalidRecordError,
        foreign.InvalidTimestampError,
    ),
}
"""Ours -> theirs, subclasses included: the nearest ancestor of an error decides."""

ELSE = StreamError
"""What :data:`_REST` becomes: wrong settings, requests that retaind does not make, and faults of the client."""

_REST: Sequence[type[foreign.KafkaError]] = (
    foreign.IllegalArgumentError,
    foreign.IllegalStateError,
    foreign.KafkaConfigurationError,
    foreign.UnrecognizedBrokerVersion,
    foreign.UnsupportedCodecError,
    foreign.TransactionAbortedError,
    foreign.NoError,
    foreign.InvalidFetchRequestError,
    foreign.OffsetMetadataTooLargeError,
    foreign.InvalidTopicError,
    foreign.InvalidRequiredAcksError,
    foreign.InconsistentGroupProtocolError,
    foreign.InvalidGroupIdError,
    foreign.InvalidSessionTimeoutError,
    foreign.InvalidCommitOffsetSizeError,
    foreign.UnsupportedVersionError,
    foreign.TopicAlreadyExistsError,
    foreign.InvalidPartitionsError,
    foreign.InvalidReplicationFactorError,
    foreign.InvalidReplicationAssignmentError,
    foreign.InvalidConfigurationError,
    foreign.InvalidRequestError,
    foreign.UnsupportedForMessageFormatError,
    foreign.OutOfOrderSequenceNumberError,
    foreign.DuplicateSequenceNumberError,
    foreign.InvalidTxnStateError,
    foreign.InvalidProducerIdMappingError,
    foreign.InvalidTransactionTimeoutError,
    foreign.UnknownProducerIdError,
    foreign.NonEmptyGroupError,
    foreign.GroupIdNotFoundError,
    foreign.TopicDeletionDisabledError,
    foreign.UnsupportedCompressionTypeError,
    foreign.GroupMaxSizeReachedError,
    foreign.ElectionNotNeededError,
    foreign.NoReassignmentInProgressError,
    foreign.GroupSubscribedToTopicError,
    foreign.ResourceNotFoundError,
    foreign.DuplicateResourceError,
    foreign.InconsistentVoterSetError,
    foreign.InvalidUpdateVersionError,
    foreign.FeatureUpdateFailedError,
    foreign.SnapshotNotFoundError,
    foreign.DuplicateBrokerRegistrationError,
    foreign.TransactionalIdNotFoundError,
    foreign.IneligibleReplicaError,
    foreign.UnsupportedAssignorError,
    foreign.MismatchedEndpointTypeError,
    foreign.UnsupportedEndpointTypeError,
    foreign.UnknownSubscriptionIdError,
    foreign.TelemetryTooLargeError,
    foreign.InvalidRegistrationError,
    foreign.TransactionAbortableError,
    foreign.InvalidRecordStateError,
    foreign.InvalidShareSessionEpochError,
    foreign.InvalidVoterKeyError,
    foreign.DuplicateVoterError,
    foreign.VoterNotFoundError,
)

MAP: Mapping[type[foreign.KafkaError], type[StreamError]] = {
    **{theirs: ours for ours, group in _GROUPS.items() for theirs in group},
    **dict.fromkeys(_REST, ELSE),
}


def ours(error: foreign.KafkaError) -> type[StreamError]:
    """The class of our tree that ``error`` becomes."""
    return next((MAP[kind] for kind in type(error).__mro__ if kind in MAP), ELSE)


@contextmanager
def translated(subject: str) -> Iterator[None]:
    """Errors of kafka-python become ours; ``subject`` begins the message."""
    try:
        yield
    except foreign.KafkaError as error:
        raise ours(error)(f"{subject}: {error}") from error
