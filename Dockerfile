# The container image: one binary and what it is linked to, see .ci/image. Builds from a clone:
#
#     docker build --tag meshctl .

FROM rust:1-bookworm AS build
WORKDIR /build
COPY Cargo.toml Cargo.lock LICENSE ./
COPY .ci .ci
COPY .cargo .cargo
COPY src src
COPY tests tests
COPY benches benches
RUN cargo build --release --locked && .ci/image root target/release/meshctl /image

FROM scratch
COPY --from=build /image /
USER 14700:14700
ENTRYPOINT ["/usr/local/bin/meshctl"]
