"""Templates as `--format` takes them, for which a real docker client is the oracle."""

#: Of a container.
INSPECT = [
    "{{.Name}}", "{{.State.Status}}", "{{.State.Running}}", "{{.State.ExitCode}}", "{{json .State.Running}}", "{{json .Config.Cmd}}",
    "{{.Config.Cmd}}", "{{.Config.Labels}}", "{{.Config.Env}}", "{{json .Config.Labels}}", "{{json .Config.Entrypoint}}",
    "{{range .Config.Env}}{{.}};{{end}}", "{{range $i, $e := .Config.Env}}{{$i}}={{$e}};{{end}}",
    "{{range $k, $v := .Config.Labels}}{{$k}}={{$v}} {{end}}", "{{range .Config.Volumes}}x{{else}}none{{end}}",
    '{{index .Config.Labels "a"}}', '{{index .Config.Labels "missing"}}|', '{{index .Config.Labels "a.b/c"}}', "{{index .Config.Cmd 0}}",
    "{{len .Config.Env}}", "{{len .Name}}", '{{join .Config.Cmd ","}}', '{{join .Config.Cmd " " | upper}}', '{{.Name | title}}',
    '{{lower "ABC"}}', '{{split "a:b:c" ":"}}', '{{index (split "a:b:c" ":") 1}}', '{{(index (split "a:b" ":") 0) | printf "%s!"}}',
    '{{truncate .Id 12}}', '{{printf "%.12s" .Id | len}}', '{{slice .Id 0 5 | len}}', '{{pad "x" 2 3}}|', '{{pad "" 2 3}}|',
    '{{title "hello world"}}', "{{println .Name}}", '{{print .Name "x" 1 2}}', '{{print 1 2}}', '{{println 1 2 "a"}}',
    '{{printf "%s=%v %q %d %5d|%-5s|%05d %x %t %%" .Name .State.Running .Name 3 4 "ab" 7 255 true}}', '{{printf "%v %v" .Config.Cmd .Config.Labels}}',
    "{{if .State.Running}}up{{else}}down{{end}}", "{{if and .Name .State.Running}}both{{else if .Name}}name{{else}}none{{end}}",
    '{{if eq .State.Status "created"}}c{{end}}', '{{if eq .State.Status "a" "b" "created"}}one of{{end}}', '{{if ne 1 2}}ne{{end}}',
    "{{lt 1 2}} {{le 2 2}} {{gt 1 2}} {{ge 3 2}}", '{{lt "a" "b"}}', "{{not .State.Running}}", "{{and 1 0 2}} {{or 0 3}} {{and 1 2}}",
    "{{with .Config}}{{.Image}}{{end}}", "{{with .Config.Volumes}}x{{else}}none{{end}}", "{{with $x := .Name}}{{$x}}{{end}}",
    "{{$x := .Name}}{{$x}} {{$.Name}}", "{{$x := 1}}{{if true}}{{$x = 2}}{{end}}{{$x}}", "{{range .Config.Env}}{{$.Name}}{{end}}",
    "a {{- .Name -}} b", "a {{- /* gone */ -}} b", "{{/* c */}}x", "x{{.Name}}\n{{- .Name}}", "{{`raw\\n`}}", '{{"q\\t\\"x\\u00e9"}}', "{{'a'}}",
    "{{1.5}} {{1e3}} {{0x10}} {{-3}} {{1_000}}", "{{true}} {{false}}", "{{.HostConfig.Memory}}", "{{.HostConfig.Privileged}}",
    '{{json .HostConfig.PortBindings}}', "{{.SizeRw}}|", "{{json .SizeRw}}", "{{.HostConfig.OomKillDisable}}", "{{.NetworkSettings.Ports}}",
    "{{define \"t\"}}[{{.}}]{{end}}{{template \"t\" .Name}}", "{{block \"b\" .Name}}<{{.}}>{{end}}", "{{range .Config.Env}}{{break}}{{end}}done",
    "{{range $i, $e := .Config.Env}}{{if eq $i 0}}{{continue}}{{end}}{{$i}}{{end}}", "{{html \"<a>\"}} {{js \"'x'\"}} {{urlquery \"a b\"}}",
    "{{.Config.Hostname | len | printf \"%d\"}}", "{{(.Config).Image}}", "{{ (index .Config.Cmd 0) }}", "{{range 3}}{{.}}{{end}}",
    "{{json .}}", "{{with 0}}{{else with 3}}{{.}}{{end}}", "{{.State}}", "{{len .Config.Labels}}", "{{json (split \"a,b\" \",\")}}",
    '{{eq .Config.Cmd nil}}', '{{eq 1 1.0}}', '{{lt 1 "a"}}', '{{slice .Config.Cmd 1}}', '{{slice "abc" 4}}', '{{index .Config.Cmd 9}}',
    "{{.Nope}}", "{{.State.Nope}}", "{{.Name.Nope}}", "{{.Config.Labels.a}}", "{{.Config.Labels.missing}}", "{{nope .Name}}", "{{.Name", "{{end}}",
    "{{if .Name}}", "{{else}}", "{{}}", "{{.Name | }}", "{{range}}", '{{"abc}}', "{{$x}}", "{{.Name)}}", "{{(.Name}}", "{{/* x }}",
    "{{.Name | .Id}}", "{{len 3}}", "{{join .Name}}", "{{upper 3}}", "{{template \"none\"}}", "{{index .Config.Labels 1}}", "{{1 | 2}}",
    "{{if}}x{{end}}", "{{with}}x{{end}}", "{{break}}", "{{.Name.}}", "{{nil}}", "{{'ab'}}", "{{12x}}", "{{$x := 1 2}}", "{{else if .Name}}",
    "{{range .Name}}x{{end}}", "{{range .State.ExitCode}}x{{end}}", "{{printf}}", "{{not}}", "{{eq 1}}", "{{and}}", "{{-3}}", "{{- 3}}", "{{3 -}}",
    "{{.Name}}{{", "}}", "{{.Name}} }}", "{{ .Name }}\\t{{.Id | len}}\\n",
]  # fmt: skip
#: Of rows.
ROWS = [
    "{{.ID}}", "{{.Names}}: {{.Image}}", "table {{.Names}}\t{{.Image}}", "table {{.Names}}\\t{{.Image}}\\t{{.Status}}", "json",
    "{{json .}}", "{{json .Names}}", "{{upper .Names}}", "{{len .ID}}", '{{.Label "a"}}', 'table {{.Names}}\t{{.Label "a"}}', "{{.Labels}}",
    "table {{.ID}} {{.Names}}", "table {{upper .Names}}", "{{.Nope}}", "{{.Names", "{{if eq .State \"created\"}}yes{{end}}", "{{.Command}}",
    "table {{.Names}}\t{{.Ports}}|", "{{.Mounts}}|{{.Networks}}|{{.LocalVolumes}}|{{.Size}}", "{{.}}x", "table", "{{.State}} {{.Status}}",
    "table {{.Names | lower}}\t{{.Command}}", "raw", "{{pad .Names 1 1}}|", "{{truncate .ID 4 | len}}", 'table {{join (split .Names "") "-"}}',
]  # fmt: skip
