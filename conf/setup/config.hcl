# dnstap-pdns beside {{.Title}}, written by "dnstap-pdns init {{.Name}}".
# "dnstap-pdns check" says what it means, with every default; docs/configuration.md lists what else there is.

{{source .}}
scrub {
  # What never leaves: your own names, with all under them, and your own networks.
  # local_names    = ["corp.example", "campus.example"]
  # local_networks = ["198.51.100.0/24"]

  # More names, one a line; the file is watched.
  # local_names_file = "local-names"
{{- if ne .Name "knot"}}

  # What the resolver asks from: answers that hold one of these addresses are dropped.
{{- if .Addresses}}
  resolvers = [{{quoted .Addresses}}]
{{- else}}
  # resolvers = ["192.0.2.53", "2001:db8:53::53"]
{{- end}}
{{- end}}
}

# A file each hour. For a receiver write a sink with to = "udp://HOST:PORT".
sink "nmsg" "files" {
  to = "file:///var/lib/dnstap-pdns/%Y%m%dT%H%M%S.nmsg"
}
