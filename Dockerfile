# syntax=docker/dockerfile:1
# The server's image: built once, runs as nobody in particular, writes nothing.

FROM rust:1.95-slim-bookworm AS build
WORKDIR /build
COPY . .
# The caches live outside of the layers, so a changed line of source rebuilds the product and not its dependencies.
# A cache is not part of the image: the binary is copied out of it.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/build/target \
    cargo build --release --locked --bin halfhour \
    && cp target/release/halfhour /halfhour

FROM debian:bookworm-slim
# The certificates are for a database or a trace collector that is reached through TLS.
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin halfhour
COPY --from=build /halfhour /usr/local/bin/halfhour
USER 10001
ENV HALFHOUR_BIND=0.0.0.0:8080
EXPOSE 8080
# The image has no HTTP client; bash speaks enough of it to read a status line.
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s --retries=3 \
    CMD ["bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/8080 && printf 'GET /health/ready HTTP/1.1\\r\\nHost: localhost\\r\\nConnection: close\\r\\n\\r\\n' >&3 && head -n 1 <&3 | grep -q ' 200 '"]
ENTRYPOINT ["halfhour"]
# `serve` runs the migrations first.
CMD ["serve"]
