{{- with .Tap.Path}}dnstapFrameStreamServer("{{.}}", {logQueries=true, logResponses=true}){{end}}
{{- with .Tap.Addr}}dnstapFrameStreamServer("{{.}}", {logQueries=true, logResponses=true}){{end}}
