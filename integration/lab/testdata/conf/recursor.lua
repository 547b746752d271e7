{{- with .Tap.Path}}dnstapFrameStreamServer({"{{.}}"{{with $.SecondSocket}}, "{{.}}"{{end}}}, {logQueries=true, logResponses=true}){{end}}
{{- with .Tap.Addr}}dnstapFrameStreamServer({"{{.}}"}, {logQueries=true, logResponses=true}){{end}}
{{- .Directives}}
