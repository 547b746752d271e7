
# Every record to the collection, which gave you the URL, the channel and the key. Before the
# sensor starts, decide what must not leave: see scrub.
sink "nmsg" "{{.Name}}" {
  to      = {{hcl .To}}
  channel = {{.Channel}}
  api_key = credential("{{.Credential}}") # {{.KeyPath}}, by LoadCredential= in the drop-in of the service

  # Records wait here while the collection is away; then they are sent in order.
  spool {
    dir       = "/var/lib/dnstap-pdns/spool"
    max_bytes = "1GiB" # then the oldest are dropped and counted
  }
}
