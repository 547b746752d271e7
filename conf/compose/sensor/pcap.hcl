# The sensor on the host's own interfaces, in Docker Compose: for a resolver that sends
# no outward messages over dnstap. After a change: docker compose --profile pcap
# kill -s HUP pcap
source "pcap" "host" {
  interfaces = ["any"]                           # better: the interface towards the Internet, like "eth0"
  resolvers  = ["192.0.2.53", "2001:db8:53::53"] # replace them by the addresses of your resolver
}

# Your own data, which must not leave. Write [] if you have no such names or networks;
# unset, a warning stays.
scrub {
  # local_names    = ["corp.example"]
  # local_networks = ["198.51.100.0/24"]
}

# The volume "records", which the other sensor uses too.
sink "nmsg" "files" {
  to = "file:///var/lib/dnstap-pdns/packets-%Y%m%dT%H%M%S.nmsg"
}

# The status page. The other sensor's has the usual port.
admin {
  listen = "127.0.0.1:9354"
}
