source "dnstap" "unbound" {
  listen = "unix:///var/lib/unbound/dnstap.sock"
  owner  = "unbound" # AppArmor lets Unbound at what is its own there
}
