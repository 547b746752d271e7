source "dnstap" "" {
  listen = "unix:///run/1.sock"
}

source "dnstap" "two words" {
  listen = "unix:///run/2.sock"
}

sink "nmsg" "<script>" {
  to = "stdout:"
}
