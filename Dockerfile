# A small image that runs as nobody: docker build -t lockstep:0.1.0 .
FROM rust:1.95-slim-bookworm AS build
RUN apt-get update && apt-get install --yes --no-install-recommends cmake g++ make pkg-config && rm -rf /var/lib/apt/lists/*
WORKDIR /source
COPY . .
# What was built before is kept between builds; the program leaves the cache to reach the next stage.
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/source/target \
    cargo build --locked --release --package lockstep && cp target/release/lockstep /lockstep

FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build /lockstep /usr/local/bin/lockstep
USER 65532:65532
EXPOSE 8080 9901
ENTRYPOINT ["/usr/local/bin/lockstep"]
CMD ["run", "--config", "/etc/lockstep/lockstep.yaml"]
