# syntax=docker/dockerfile:1
# A static binary on an image with nothing else in it.
FROM rust:1.95-alpine AS build
RUN apk add --no-cache musl-dev gcc make
WORKDIR /src
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --locked --profile dist --bin berth --package berth \
    && cp target/dist/berth /berth

FROM scratch
COPY --from=build /berth /berth
USER 65532:65532
EXPOSE 10251
ENTRYPOINT ["/berth"]
CMD ["run", "--http-address=0.0.0.0:10251"]
