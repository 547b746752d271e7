# Configuration of dnstap-pdns. Every attribute has its default, so this file means
# the same as no file. To print the meaning of a configuration, run:
# dnstap-pdns check -c FILE
#
# Durations have a unit ("500ms", "60s", "1h"), and so have sizes ("256KiB", "16MiB").
# env("NAME") and file("PATH") insert values that are not to be written here.

# Resolvers connect here, at unix:///PATH or tcp://HOST:PORT. There may be several
# sources, each with its own name.
source "dnstap" "local" {
  listen = "unix:///run/dnstap-pdns/dnstap.sock"
  mode   = "0660" # the resolver must be able to write to the socket
  owner  = ""     # user name or number; "": the sensor's user
  group  = ""     # group name or number, usually the resolver's, like "unbound"

  max_connections   = 64
  max_frame         = "256KiB" # longer frames are skipped and counted
  handshake_timeout = "5s"

  # TLS 1.2 or later, for tcp:// only. File names are relative to the folder of this
  # file. The files are read again when they change.
  #  tls {
  #    cert      = "cert.pem"
  #    key       = "key.pem"
  #    client_ca = "ca.pem" # CA of the resolvers' certificates; "": resolvers need none
  #  }
}

# Packets: for a resolver that sends no outward messages over dnstap (Knot Resolver),
# and for a span port.
#  source "pcap" "span" {
#    interfaces = ["eth1"]                           # ["any"]: all interfaces
#    resolvers  = ["192.0.2.53", "2001:db8:53::/64"] # their outward traffic is captured
#    when       = "idle"                             # only without outward messages over dnstap; default: "always"
#    idle_after = "60s"
#
#    promiscuous     = false # true on a span port
#    decapsulate     = false # also read inside GRE, ERSPAN and VXLAN; true needs decapsulate_from = ["198.51.100.2"]
#    verify_checksum = false # reassembled datagrams are always verified
#
#    ring  = "32MiB" # for each interface and lane
#    lanes = 1
#  }

# Queries that wait for their response.
pairing {
  max_queries = 131072 # over all connections; then the oldest is dropped
  timeout     = "60s"
}

# Which messages are outward: responses of authoritative servers on the Internet.
outward {
  forwarded     = false # also traffic with forwarders, and with RD set
  unanswered    = false # also unanswered queries
  local_servers = false # also servers on private and local addresses
  rcodes        = ["NOERROR", "NXDOMAIN", "SERVFAIL", "REFUSED"]
}

# What is removed. Name here what concerns your organisation.
scrub {
  resolver_address = "zero" # or "keep", to recognise your own queries later
  resolvers        = []     # the resolver's own addresses and prefixes, if dnstap does not report them
  local_names      = []     # like "corp.example": dropped, with all names below it
  local_names_file = ""     # a file with more local names, one on each line
  local_networks   = []     # like "198.51.100.0/24": servers and reverse names in it
  lookups          = "drop" # or "keep": queries to DNS blocklists and similar lists
  special_names    = true   # drop special-use names, and names under no existing TLD
  time_resolution  = "1s"

  local_names_inside = "drop" # or "keep": names like corp.example.dnsbl.example.net

  # Lists that replace the built-in ones.
  # lookup_zones = ["dnsbl.example.net"]
  # root_servers = ["192.0.2.1"]
}

# Records go here, as NMSG: to udp://HOST:PORT, file:///DIR/NAME (a strftime pattern,
# in UTC) or stdout:. There may be several sinks.
sink "nmsg" "files" {
  to      = "file:///var/lib/dnstap-pdns/%Y%m%dT%H%M%S.nmsg"
  message = "dnsqr"   # or "dnsobs", "dnstap"
  mtu     = "1MiB"    # for udp:// 8192 to loopback, else 1280
  flush   = "500ms"   # how long a record waits for its container to fill
  queue   = "16MiB"   # then the oldest containers are dropped and counted
  zlib    = false     # udp:// also has rate = 0: datagrams per second, 0 for no limit
  rotate  = "1h"      # "0s": no rotation by time

  rotate_size = "256MiB" # a file is never larger than this
  on_rotate   = []       # program and arguments, run for each finished file; its path is the last argument
}

# Numbers that identify this sensor to receivers; 0 is omitted.
sensor {
  source   = 0
  operator = 0
  group    = 0
}

# The HTTP server of the sensor: status page, /metrics, /ledger. dnstap-pdns status prints
# what it reports.
admin {
  listen       = "127.0.0.1:9353" # "": no HTTP server
  allow_remote = false            # true: listen may be an address that other hosts can reach
  samples      = false            # true: the page shows the last 20 records, with query names, to anyone who can reach listen
  pprof        = false            # also /debug/pprof
}

log {
  level  = "info" # or "debug", "warn", "error"
  format = "text" # or "json"
}
