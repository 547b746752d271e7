# RRsets that no sink gets.
scrub {
  local_names    = []
  local_networks = []
}
aggregate "read" {}
aggregate "unread" {}
sink "json" "lines" {
  to     = "stdout:"
  format = "cof"
  from   = "read"
}
