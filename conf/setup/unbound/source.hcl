source "dnstap" "unbound" {
  listen = "unix:///var/lib/unbound/dnstap.sock"
  owner  = "unbound" # AppArmor allows Unbound its own sockets there
}
