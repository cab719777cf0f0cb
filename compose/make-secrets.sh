#!/bin/sh
# Makes the secrets of docker-compose.yml that are not there yet, one file each in secrets/, and overwrites none.
#   sh compose/make-secrets.sh            leaves the tokens of your upstreams empty, and says so
#   sh compose/make-secrets.sh harbour    makes those up, too: the stand-ins read the same files
set -eu
cd "$(dirname "$0")/.."
mkdir -p secrets
chmod 700 secrets # this keeps others out: the files have to be readable for the users of the containers, who are others

by_chance() {
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
    keep "$name" "$(by_chance)"
done
keep flower_basic_auth "operator:$(by_chance)"

for name in gitlab_token gitlab_read_token jenkins_auth_token argo_token kibana_pwd; do
    if [ "${1:-}" = harbour ]; then
        keep "$name" "$(by_chance)"
    elif [ ! -s "secrets/$name" ]; then
        : >> "secrets/$name"
        chmod 644 "secrets/$name"
        echo "fill in secrets/$name"
    fi
done
