# dnstap-pdns for {{.Title}}, written by "dnstap-pdns init {{.Name}}".
# "dnstap-pdns check" prints its meaning with all defaults; docs/configuration.md describes every attribute.

{{source}}
scrub {
  # Your own names, with all names below them, and your own networks: they never leave.
{{- if or .Names .Networks}}
  # init found the values below on this machine, at the places in the comments: confirm or correct them.
{{- end}}
{{- if .Names}}
  local_names = [
{{- range .Names}}
    {{hcl .Value}}, # {{comment .From}}
{{- end}}
  ]
{{- else}}
  # local_names    = ["corp.example", "campus.example"]
{{- end}}
{{- if .Networks}}
  local_networks = [
{{- range .Networks}}
    {{hcl .Value}}, # {{comment .From}}
{{- end}}
  ]
{{- else}}
  # local_networks = ["198.51.100.0/24"]
{{- end}}

  # More names, one on each line; the file is read again when it changes.
  # local_names_file = "local-names"
{{- if ne .Name "knot"}}

  # The addresses of the resolver: answers that contain one of them are dropped.
{{- if .Addresses}}
  resolvers = [{{quoted .Addresses}}]
{{- else}}
  # resolvers = ["192.0.2.53", "2001:db8:53::53"]
{{- end}}
{{- end}}
}

# One file per hour. To send to a receiver, add a sink with to = "udp://HOST:PORT".
sink "nmsg" "files" {
  to = "file:///var/lib/dnstap-pdns/%Y%m%dT%H%M%S.nmsg"
}
