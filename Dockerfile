# One static binary on nothing: no shell, no package manager, no root.
# `make image` builds the same without a daemon.
ARG RUST_VERSION=1.95.0

FROM rust:${RUST_VERSION}-bookworm AS build
# The list of dependencies goes into the binary, for scanners to read.
RUN cargo install --locked cargo-auditable@0.7.7
WORKDIR /src
COPY . .
ARG SOURCE_DATE_EPOCH=0
RUN RUSTFLAGS="-C target-feature=+crt-static --remap-path-prefix=/src=/src --remap-path-prefix=/usr/local/cargo=/cargo" \
    cargo auditable build --release --locked --bin certgate --target "$(uname -m)-unknown-linux-gnu" \
    && install -D -m 0755 "target/$(uname -m)-unknown-linux-gnu/release/certgate" /root-fs/usr/bin/certgate \
    && mkdir -p /root-fs/etc \
    && echo 'certgate:x:65532:65532:certgate:/:/sbin/nologin' > /root-fs/etc/passwd \
    && echo 'certgate:x:65532:' > /root-fs/etc/group

FROM scratch
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="certgate" \
    org.opencontainers.image.licenses="Apache-2.0" \
    org.opencontainers.image.version="${VERSION}" \
    org.opencontainers.image.revision="${REVISION}"
COPY --from=build /root-fs/ /
USER 65532:65532
ENTRYPOINT ["/usr/bin/certgate"]
