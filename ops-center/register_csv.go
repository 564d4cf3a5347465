package opscenter

import (
	"bufio"
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"
	"golang.org/x/text/unicode/norm"

	"vonglau/devices"
	"vonglau/ops-center/access"
)

// The register as a table. A spreadsheet of this country writes ';' between
// cells and ',' in numbers, begins with a byte order mark, and takes a cell that
// begins with '=' for a formula; all of that is read, and what is written can be
// read by it.

// csvColumns are the columns in the order of an export.
var csvColumns = []string{
	"id", "name", "profile", "lat", "lon", "state", "upstream", "owner", "site", "model", "firmware", "simulated",
}

// columnNames are what else a column may be called, folded.
var columnNames = map[string]string{
	"ma": "id", "ma thiet bi": "id", "ten": "name", "loai": "profile", "loai thiet bi": "profile", "vi do": "lat", "kinh do": "lon",
	"latitude": "lat", "longitude": "lon", "trang thai": "state", "nut tren": "upstream", "don vi": "owner", "don vi quan ly": "owner",
	"dia diem": "site", "kieu may": "model", "phan mem": "firmware", "phien ban": "firmware", "mo phong": "simulated",
}

// columnOf tells which column is called by a name, "" when none is.
func columnOf(name string) string {
	name = strings.TrimSpace(strings.ReplaceAll(devices.Fold(name), "_", " "))
	if name == "token" || slices.Contains(csvColumns, name) {
		return name
	}
	return columnNames[name]
}

// maxImportLines bounds one import.
const maxImportLines = 200_000

// lineProblem says what is wrong with a line. Code is for programs and
// translations, Message for people.
type lineProblem struct {
	Column  string `json:"column,omitempty"`
	Code    string `json:"code" enum:"columns,csv,id,exists,twice,profile,place,state,token,flag,refused"`
	Value   string `json:"value,omitempty"`
	Message string `json:"message"`
}

// importLine is what became of a line, or would.
type importLine struct {
	Line    int          `json:"line"`
	ID      string       `json:"id,omitempty"`
	Result  string       `json:"result" enum:"added,good,refused,left_out"`
	Token   string       `json:"token,omitempty" doc:"Shown this once"`
	Problem *lineProblem `json:"problem,omitempty"`

	device devices.Device
	token  string
}

type importInput struct {
	DryRun  bool `query:"dry_run" doc:"Says what would become of each line and changes nothing"`
	SkipBad bool `query:"skip_bad" doc:"Registers the good lines although others are refused"`
	RawBody []byte
}

type importOutput struct {
	Body struct {
		DryRun  bool          `json:"dryRun"`
		Good    int           `json:"good" doc:"Lines that can be registered"`
		Refused int           `json:"refused"`
		Added   int           `json:"added" doc:"Devices registered now"`
		Lines   []*importLine `json:"lines"`
	}
}

// importDevices reads a table of devices. Nothing is registered while a line is
// refused, unless the caller says so.
func (a *api) importDevices(ctx context.Context, in *importInput) (*importOutput, error) {
	lines, err := a.readTable(in.RawBody)
	if err != nil {
		return nil, huma.Error422UnprocessableEntity("the table cannot be read", &huma.ErrorDetail{Location: "body", Message: err.Error()})
	}
	out := &importOutput{}
	out.Body.DryRun, out.Body.Lines = in.DryRun, lines
	var good []*importLine
	var list []devices.Device
	for _, l := range lines {
		if l.Problem != nil {
			l.Result = "refused"
			out.Body.Refused++
			continue
		}
		l.Result = "good"
		good, list = append(good, l), append(list, l.device)
	}
	out.Body.Good = len(good)
	if in.DryRun || len(good) == 0 {
		return out, nil
	}
	if out.Body.Refused > 0 && !in.SkipBad {
		for _, l := range good {
			l.Result = "left_out"
		}
		return out, nil
	}
	tokens, err := a.Register.AddAll(ctx, list)
	switch {
	case errors.Is(err, devices.ErrDeviceExists):
		return nil, huma.Error409Conflict(err.Error())
	case err != nil && isRetry(err):
		return nil, unavailable("register not available", err)
	case err != nil:
		return nil, huma.Error422UnprocessableEntity(err.Error())
	}
	for i, l := range good {
		l.Result, l.Token = "added", tokens[i]
		if l.Token == "" {
			l.Token = l.token
		}
	}
	out.Body.Added = len(good)
	a.search.List() // whoever asks next does not wait for so many new names
	for _, l := range good {
		if d, ok := a.Register.Get(l.device.ID); ok {
			a.changed(ctx, "device.import", string(d.ID), nil, a.view(d, a.now()))
		}
	}
	return out, nil
}

// readTable judges each line of a table. The error is about the table as a
// whole.
func (a *api) readTable(raw []byte) ([]*importLine, error) {
	raw = bytes.TrimPrefix(raw, []byte("\xef\xbb\xbf"))
	if !utf8.Valid(raw) {
		return nil, errors.New("it is not UTF-8; save it as “CSV UTF-8”")
	}
	first, _, _ := bytes.Cut(raw, []byte("\n"))
	r := csv.NewReader(bytes.NewReader(raw))
	r.FieldsPerRecord, r.ReuseRecord, r.TrimLeadingSpace = -1, true, true
	for _, comma := range ";\t" {
		if bytes.Count(first, []byte(string(comma))) > bytes.Count(first, []byte(string(r.Comma))) {
			r.Comma = comma
		}
	}
	header, err := r.Read()
	if err != nil {
		return nil, errors.New("it is empty; the first line names the columns: " + strings.Join(csvColumns, ","))
	}
	columns := make([]string, len(header))
	for i, name := range header {
		columns[i] = columnOf(name)
		switch {
		case columns[i] == "":
			return nil, fmt.Errorf("column %d is called %.40q; known are %s, token", i+1, header[i], strings.Join(csvColumns, ", "))
		case slices.Contains(columns[:i], columns[i]):
			return nil, fmt.Errorf("column %s comes twice", columns[i])
		}
	}
	for _, needed := range []string{"id", "profile"} {
		if !slices.Contains(columns, needed) {
			return nil, fmt.Errorf("column %s is missing", needed)
		}
	}
	var lines []*importLine
	at := map[devices.ID]int{} // line by id
	for {
		record, err := r.Read()
		if errors.Is(err, io.EOF) {
			return lines, nil
		}
		if len(lines) == maxImportLines {
			return nil, fmt.Errorf("it has more than %d lines; import it in parts", maxImportLines)
		}
		l := &importLine{}
		lines = append(lines, l)
		var bad *csv.ParseError
		if errors.As(err, &bad) {
			l.Line, l.Problem = bad.StartLine, &lineProblem{Code: "csv", Message: fmt.Sprintf("the line cannot be taken apart: %v", bad.Err)}
			continue
		}
		if err != nil {
			return nil, err
		}
		l.Line, _ = r.FieldPos(0)
		if len(record) != len(columns) {
			l.Problem = &lineProblem{Code: "columns", Value: strconv.Itoa(len(record)), Message: fmt.Sprintf("%d cells where the first line has %d", len(record), len(columns))}
			continue
		}
		cells := make(map[string]string, len(columns))
		for i, c := range columns {
			cells[c] = norm.NFC.String(plainCell(strings.TrimSpace(record[i])))
		}
		l.ID = cells["id"]
		l.Problem = a.readLine(l, cells, r.Comma == ';')
		if l.Problem != nil {
			continue
		}
		if before := at[l.device.ID]; before > 0 {
			l.Problem = &lineProblem{Column: "id", Code: "twice", Value: strconv.Itoa(before), Message: fmt.Sprintf("id %s is in line %d already", l.ID, before)}
			continue
		}
		at[l.device.ID] = l.Line
	}
}

// readLine makes the device of a line, or says what keeps it from being one.
func (a *api) readLine(l *importLine, cells map[string]string, commas bool) *lineProblem {
	problem := func(column, code string, err error) *lineProblem {
		return &lineProblem{Column: column, Code: code, Value: cut(cells[column]), Message: err.Error()}
	}
	id, err := devices.ParseID(cells["id"])
	if err != nil {
		return problem("id", "id", err)
	}
	if _, ok := a.Register.Get(id); ok {
		return problem("id", "exists", fmt.Errorf("%s is registered already", id))
	}
	profile, ok := a.Catalogue.Profile(cells["profile"])
	if !ok {
		return problem("profile", "profile", fmt.Errorf("profile %.40q is not in the catalogue", cells["profile"]))
	}
	n := newDevice{
		ID: id, Profile: profile.Name, Name: cells["name"], Upstream: devices.ID(cells["upstream"]), Owner: cells["owner"],
		Site: cells["site"], Model: cells["model"], Firmware: cells["firmware"], Token: cells["token"],
	}
	if lat, lon := cells["lat"], cells["lon"]; lat != "" || lon != "" {
		y, errLat := degrees(lat, commas, 90)
		if errLat != nil {
			return problem("lat", "place", errLat)
		}
		x, errLon := degrees(lon, commas, 180)
		if errLon != nil {
			return problem("lon", "place", errLon)
		}
		n.At = &[2]float64{x, y}
	}
	if s := cells["state"]; s != "" {
		if n.State = devices.LifeState(strings.ToLower(s)); !n.State.Known() {
			return problem("state", "state", fmt.Errorf("state %.40q: use announced, quarantined, active, maintenance or retired", s))
		}
	}
	switch strings.ToLower(cells["simulated"]) {
	case "", "0", "false", "no", "không":
	case "1", "true", "yes", "có":
		n.Simulated = true
	default:
		return problem("simulated", "flag", fmt.Errorf("%.40q is neither true nor false", cells["simulated"]))
	}
	if l.device, err = a.toDevice(&n); err != nil {
		if n.Token != "" && (len(n.Token) < minDeviceToken || len(n.Token) > 256) {
			return &lineProblem{Column: "token", Code: "token", Message: err.Error()} // not to show the token
		}
		return &lineProblem{Code: "refused", Message: err.Error()}
	}
	if err := a.Register.Check(&l.device); err != nil {
		return &lineProblem{Code: "refused", Message: err.Error()}
	}
	l.token = n.Token
	return nil
}

// cut keeps a strange cell from filling the report.
func cut(s string) string {
	if r := []rune(s); len(r) > 60 {
		return string(r[:60]) + "…"
	}
	return s
}

// degrees reads a coordinate. Where ';' stands between cells, ',' stands in
// numbers.
func degrees(s string, commas bool, most float64) (float64, error) {
	if s == "" {
		return 0, errors.New("a place has both latitude and longitude")
	}
	if commas {
		s = strings.Replace(s, ",", ".", 1)
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || !(f >= -most && f <= most) {
		return 0, fmt.Errorf("%.40q is no number of degrees up to %v", s, most)
	}
	return f, nil
}

// formula are what makes a spreadsheet take a cell for a formula (CWE-1236).
const formula = "=+-@\t\r"

// safeCell marks a text that a spreadsheet would run; plainCell takes the mark
// off again.
func safeCell(s string) string {
	if s != "" && strings.ContainsRune(formula, rune(s[0])) {
		return "'" + s
	}
	return s
}

func plainCell(s string) string {
	if len(s) > 1 && s[0] == '\'' && strings.ContainsRune(formula, rune(s[1])) {
		return s[1:]
	}
	return s
}

type exportInput struct {
	DeviceFilter
	Format string `query:"format" enum:"csv,json" default:"csv"`
}

// exportDevices writes the register, or the part of it that a filter leaves, in
// a form that importDevices and POST /v1/devices take: without credentials.
func (a *api) exportDevices(_ context.Context, in *exportInput) (*huma.StreamResponse, error) {
	found, _ := a.filter(&in.DeviceFilter, a.now())
	// A drill's devices end with it: read in again they would be the city's.
	found = slices.DeleteFunc(slices.Clone(found), func(d *devices.Found) bool { return d.Exercise != "" })
	return &huma.StreamResponse{Body: func(ctx huma.Context) {
		day := string(a.today(a.now()))
		ctx.SetHeader("Content-Disposition", `attachment; filename="devices-`+day+`.`+in.Format+`"`)
		w := bufio.NewWriterSize(ctx.BodyWriter(), 64<<10)
		var err error
		if in.Format == "json" {
			ctx.SetHeader("Content-Type", "application/json")
			err = writeJSON(w, found)
		} else {
			ctx.SetHeader("Content-Type", "text/csv; charset=utf-8; header=present")
			err = writeCSV(w, found)
		}
		if err = errors.Join(err, w.Flush()); err != nil {
			a.Log.Debug("an export was not taken to its end", "err", err)
		}
	}}, nil
}

func writeCSV(w *bufio.Writer, found []*devices.Found) error {
	if _, err := w.WriteString("\ufeff"); err != nil { // or a spreadsheet takes it for an old code page
		return err
	}
	c := csv.NewWriter(w)
	if err := c.Write(csvColumns); err != nil {
		return err
	}
	for _, d := range found {
		lat, lon := "", ""
		if d.At.Known() {
			lat, lon = strconv.FormatFloat(d.At.Lat, 'f', -1, 64), strconv.FormatFloat(d.At.Lon, 'f', -1, 64)
		}
		err := c.Write([]string{
			string(d.ID), safeCell(d.Name), d.Profile, lat, lon, string(d.State), string(d.Upstream), safeCell(d.Owner),
			safeCell(d.Site), safeCell(d.Model), safeCell(d.Firmware), strconv.FormatBool(d.Simulated),
		})
		if err != nil {
			return err
		}
	}
	c.Flush()
	return c.Error()
}

func writeJSON(w *bufio.Writer, found []*devices.Found) error {
	_ = w.WriteByte('[')
	for i, d := range found {
		if i > 0 {
			_, _ = w.WriteString(",\n")
		}
		n := newDevice{
			ID: d.ID, Profile: d.Profile, Name: d.Name, State: d.State, Upstream: d.Upstream, Owner: d.Owner, Site: d.Site,
			Model: d.Model, Firmware: d.Firmware, Simulated: d.Simulated,
		}
		if d.At.Known() {
			n.At = &[2]float64{d.At.Lon, d.At.Lat}
		}
		raw, err := json.Marshal(&n)
		if err != nil {
			return err
		}
		if _, err := w.Write(raw); err != nil { // a bufio.Writer keeps the first error
			return err
		}
	}
	_, err := w.WriteString("]\n")
	return err
}

func (a *api) importRoutes() {
	route(a, access.ManageDevices, huma.Operation{
		OperationID: "import-devices", Method: http.MethodPost, Path: "/v1/devices/import", Tags: []string{"devices"},
		Summary: "Register the devices of a table",
		Description: "CSV whose first line names the columns: id and profile, and what else there is of " + strings.Join(csvColumns, ", ") +
			", token. The answer tells of each line. While one is refused nothing is registered, unless skip_bad is set.",
		MaxBodyBytes: maxRegistration, BodyReadTimeout: 2 * time.Minute,
		RequestBody:      &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{"text/csv": {Schema: &huma.Schema{Type: "string"}}}},
		SkipValidateBody: true,
	}, a.importDevices)
	route(a, access.View, huma.Operation{
		OperationID: "export-devices", Method: http.MethodGet, Path: "/v1/export/devices", Tags: []string{"devices"},
		Summary: "The register as a table or as JSON, in the form an import takes",
	}, a.exportDevices)
}
