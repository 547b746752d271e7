# The sensor beside Unbound or BIND, in Docker Compose. After a change:
# docker compose kill -s HUP sensor
#
# What concerns you, and so must not leave. resolvers are the addresses that the
# Internet sees your resolver at: from inside its container, dnstap does not tell them.
scrub {
  resolvers      = [] # like "192.0.2.53", "2001:db8:53::53"
  local_names    = [] # like "corp.example"
  local_networks = [] # like "198.51.100.0/24"
}

# The socket is on a volume that the resolver's container has, too. Its group, like
# the volume's, is the sensor's own, which compose.yaml adds to the resolver's.
source "dnstap" "resolver" {
  listen = "unix:///run/dnstap-pdns/dnstap.sock"
  mode   = "0660"
}

# The volume "records". Nothing takes old files away: fetch them.
sink "nmsg" "files" {
  to = "file:///var/lib/dnstap-pdns/%Y%m%dT%H%M%S.nmsg"
}

# The status page. Within the container any address, for the port to be published:
# compose.yaml publishes it on this machine's loopback.
admin {
  listen       = "0.0.0.0:9353"
  allow_remote = true
}

# For the profile "view". This is loopback's broadcast address: nobody outside the
# container can hear it, and nothing is lost when nobody listens.
sink "nmsg" "view" {
  to = "udp://127.255.255.255:8430"
}
