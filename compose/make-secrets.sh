#!/bin/sh
# Make the missing secrets of docker-compose.yml, one file each in secrets/. Existing files are not overwritten.
#   sh compose/make-secrets.sh            leaves the tokens of your upstreams empty, and lists their files
#   sh compose/make-secrets.sh harbour    makes random tokens, too: the stand-ins read the same files
set -eu
cd "$(dirname "$0")/.."
mkdir -p secrets
chmod 700 secrets # keeps other users out: the files themselves must be readable by the users of the containers

random_text() {
    head -c 32 /dev/urandom | base64 | tr '+/' '-_' | tr -d '=\n'
}

keep() {
    if [ ! -s "secrets/$1" ]; then
        printf '%s' "$2" > "secrets/$1"
        echo "made secrets/$1"
    fi
    chmod 644 "secrets/$1"
}

for name in mysql_root_password db_password redis_password secret_keys metrics_token; do
    keep "$name" "$(random_text)"
done
keep flower_basic_auth "operator:$(random_text)"

names=$(sed -n 's|^  \([a-z_]*\): {file: secrets/.*|\1|p' docker-compose.yml)
for name in $names; do # those above exist by now: what is left are the tokens of the upstreams
    if [ "${1:-}" = harbour ]; then
        keep "$name" "$(random_text)"
    elif [ ! -s "secrets/$name" ]; then
        : >> "secrets/$name"
        chmod 644 "secrets/$name"
        echo "fill in secrets/$name"
    fi
done
