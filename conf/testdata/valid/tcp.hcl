source "dnstap" "loopback" {
  listen = "tcp://[::1]:06000"
}
source "dnstap" "name" {
  listen = "tcp://localhost:6000"
}
sink "nmsg" "near" {
  to = "udp://127.0.0.1:9430"
}
sink "nmsg" "far" {
  to = "udp://192.0.2.1:9430"
}
sink "nmsg" "pipe" {
  to = "stdout:"
}
sink "nmsg" "once" {
  to     = "file:///tmp/100%%/out.nmsg"
  rotate = "0s"
}
admin {
  listen = ""
}
