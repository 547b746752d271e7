# The sensor with Unbound or BIND, in Docker Compose. After a change:
# docker compose kill -s HUP sensor
#
# Your own data, which must not leave. Write [] if you have no such names or networks;
# unset, a warning stays. resolvers are the public addresses of your resolver: dnstap from
# inside its container does not contain them.
scrub {
  resolvers = [] # like "192.0.2.53", "2001:db8:53::53"
  # local_names    = ["corp.example"]
  # local_networks = ["198.51.100.0/24"]
}

# The socket is on a volume that the resolver's container mounts too. The group of socket
# and volume is the sensor's, which compose.yaml adds to the groups of the resolver.
source "dnstap" "resolver" {
  listen = "unix:///run/dnstap-pdns/dnstap.sock"
  mode   = "0660"
}

# The volume "records". Old files are not removed: fetch and remove them.
sink "nmsg" "files" {
  to = "file:///var/lib/dnstap-pdns/%Y%m%dT%H%M%S.nmsg"
}

# The status page. It listens on every address of the container, so that compose.yaml can
# publish its port on this machine's loopback. host_names: names for it in URLs, if any.
admin {
  listen       = "0.0.0.0:9353"
  allow_remote = true
}

# For the profile "view". This is the broadcast address of loopback: it does not leave the
# container, and no error occurs if no process listens.
sink "nmsg" "view" {
  to = "udp://127.255.255.255:8430"
}
