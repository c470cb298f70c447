#!/bin/sh
# What a broker for the tests needs: Java >= 17 and Maven. Nothing is done where they are there; under CI=true, as root
# on Debian or Ubuntu, they are installed; anywhere else this says what to install and ends with 1.
set -eu

if [ -n "${RETAIND_TEST_KAFKA:-}" ]; then
  exit 0
fi

java_is_new_enough() {
  java="${JAVA_HOME:+$JAVA_HOME/bin/}java"
  command -v "$java" >/dev/null || return 1
  version=$("$java" -version 2>&1 | sed -n 's/.*version "\([0-9]*\).*/\1/p')
  [ "${version:-0}" -ge 17 ]
}

there() {
  java_is_new_enough && command -v mvn >/dev/null
}

if there; then
  exit 0
fi

if [ "${CI:-}" = true ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq
  apt-get install -qq -y --no-install-recommends openjdk-17-jre-headless maven ||
    apt-get install -qq -y --no-install-recommends openjdk-21-jre-headless maven
  there && exit 0
fi

cat >&2 <<'SAY'
The tests against Apache Kafka need Java >= 17 and Maven:
  Debian 12, Ubuntu:  sudo apt-get install --no-install-recommends openjdk-17-jre-headless maven
  Debian 13:          sudo apt-get install --no-install-recommends openjdk-21-jre-headless maven
  Fedora:             sudo dnf install java-21-openjdk-headless maven
  macOS:              brew install openjdk maven   (and put openjdk's bin on PATH)
Or set RETAIND_TEST_KAFKA to the bootstrap servers of a broker that may be written to. With none of these, they are skipped.
SAY
exit 1
