# The sensor on the host's own interfaces, in Docker Compose: for a resolver that
# says nothing outward over dnstap. After a change: docker compose --profile pcap
# kill -s HUP pcap
source "pcap" "host" {
  interfaces = ["any"]                           # better: what leads to the Internet, like "eth0"
  resolvers  = ["192.0.2.53", "2001:db8:53::53"] # your resolver asks from here: put its own
}

# What concerns you, and so must not leave.
scrub {
  local_names    = [] # like "corp.example"
  local_networks = [] # like "198.51.100.0/24"
}

# The volume "records", as the other sensor has it.
sink "nmsg" "files" {
  to = "file:///var/lib/dnstap-pdns/packets-%Y%m%dT%H%M%S.nmsg"
}

# The status page: beside the other sensor's, which has the usual port.
admin {
  listen = "127.0.0.1:9354"
}
