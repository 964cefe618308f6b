# Builds the engine and leaves an image with little else: docker build -t presence .

FROM rust:1.95-bookworm AS build
WORKDIR /build
COPY . .
RUN cargo build --locked --release --bin presence && strip target/release/presence

FROM debian:bookworm-slim
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /build/target/release/presence /usr/local/bin/presence
USER 65532:65532
ENTRYPOINT ["presence"]
CMD ["run"]
