#!/bin/sh
# Make ./configure from configure.ac (needed in a git checkout only).
set -e
cd "$(dirname "$0")"
mkdir -p m4 build-aux
autoreconf --install --warnings=all
