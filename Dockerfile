# Images of the sensor (the last stage) and of the resolvers in compose.yaml. The classic
# builder and BuildKit can build them.
#
# 65532 is the sensor's user, and the group that may write to its socket. A new volume gets
# owner and mode of the directory at its mount point in the image. Every image has that
# directory, so the volume does not depend on which container starts first.

FROM debian:bookworm-slim AS unbound
RUN apt-get update \
 && apt-get install -y --no-install-recommends unbound dns-root-data \
 && rm -rf /var/lib/apt/lists/* \
 && install -d -o 65532 -g 65532 -m 0750 /run/dnstap-pdns
USER unbound
ENTRYPOINT ["unbound", "-d"]

FROM debian:bookworm-slim AS bind
RUN apt-get update \
 && apt-get install -y --no-install-recommends bind9 \
 && rm -rf /var/lib/apt/lists/* \
 && install -d -o 65532 -g 65532 -m 0750 /run/dnstap-pdns
USER bind
ENTRYPOINT ["named", "-g"]

# The build is reproducible: the same Go and source give the same binary. HTTP/2 is not
# used and is left out, to make the image smaller. VERSION is the version that the sensor
# prints, for example the output of "git describe".
FROM golang:1.26-bookworm AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG VERSION=
RUN CGO_ENABLED=0 go build -trimpath -buildvcs=false -tags nethttpomithttp2 -ldflags "-s -w -buildid= -X main.release=$VERSION" -o /out/dnstap-pdns ./cmd/dnstap-pdns \
 && install -d -m 0750 /owned/run/dnstap-pdns \
 && install -d -m 0770 /owned/var/lib/dnstap-pdns \
 && echo 'dnstap-pdns:x:65532:65532::/:' >/passwd && echo 'dnstap-pdns:x:65532:' >/group

FROM scratch AS sensor
COPY --from=build /out/dnstap-pdns /usr/local/bin/
COPY --from=build /passwd /group /etc/
# For sinks with TLS: an image from scratch has no CAs.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build --chown=65532:65532 /owned/ /
USER 65532:65532
HEALTHCHECK --interval=30s --timeout=5s --start-period=10s CMD ["/usr/local/bin/dnstap-pdns", "status"]
ENTRYPOINT ["/usr/local/bin/dnstap-pdns"]
CMD ["run"]
