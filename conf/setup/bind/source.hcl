source "dnstap" "bind" {
  listen = "unix:///var/cache/bind/dnstap.sock"
  group  = "bind"
}
