#!/usr/bin/env bash
# Makes certificates for development: a CA, and a serving certificate for the webhook that it signs.
#
#   certs/make.sh [DIRECTORY [NAME…]]
#
# DIRECTORY defaults to the one of this script, NAME… (DNS names or addresses) to the webhook's Service and localhost.
# Then: certgate webhook --serving-cert files --tls-cert-file certs/tls.crt --tls-key-file certs/tls.key …
# Keys are for one's own machine: git ignores them, and the certificates end after 30 days.
set -euo pipefail

directory=${1:-$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)}
shift || true
names=("$@")
if [ ${#names[@]} -eq 0 ]; then
    names=(certgate-webhook.certgate-system.svc certgate-webhook.certgate-system.svc.cluster.local localhost 127.0.0.1)
fi
command -v openssl >/dev/null || {
    echo "openssl is missing; install it" >&2
    exit 2
}

alternatives=
for name in "${names[@]}"; do
    case $name in
    *[!0-9.]*) kind=DNS ;;
    *) kind=IP ;;
    esac
    case $name in *:*) kind=IP ;; esac
    alternatives+=${alternatives:+,}$kind:$name
done

umask 077
mkdir -p "$directory"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

key() { openssl genpkey -quiet -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1"; }

key "$work/ca.key"
openssl req -x509 -new -key "$work/ca.key" -subj "/CN=certgate development CA" -days 30 \
    -addext basicConstraints=critical,CA:TRUE,pathlen:0 -addext keyUsage=critical,keyCertSign,cRLSign -out "$work/ca.crt"
key "$work/tls.key"
openssl req -new -key "$work/tls.key" -subj "/" -out "$work/tls.csr"
openssl x509 -req -in "$work/tls.csr" -CA "$work/ca.crt" -CAkey "$work/ca.key" -days 30 -out "$work/tls.crt" 2>/dev/null \
    -extfile <(printf '%s\n' "subjectAltName=critical,$alternatives" basicConstraints=critical,CA:FALSE \
        keyUsage=critical,digitalSignature extendedKeyUsage=serverAuth)

mv "$work"/{ca,tls}.{crt,key} "$directory/"
echo "$directory: ca.crt, ca.key, tls.crt, tls.key for ${names[*]}"
