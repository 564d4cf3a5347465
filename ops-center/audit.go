package opscenter

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"vonglau/ops-center/access"
	"vonglau/ops-center/audit"
)

// maxActs bounds the records of one request: an import of a register says for
// the first devices what was before and after, and how many more there were.
const maxActs = 500

// trail gathers what the record says of one request.
type trail struct {
	a       *api
	r       *http.Request
	act     string // of the route
	change  bool   // may change something: is recorded, and not done unrecorded
	read    bool   // of what is sensitive: is recorded
	request string

	mu      sync.Mutex
	who     *access.Principal
	how     string // the actor's assurance
	refusal *access.Refusal
	acts    []audit.Entry
	more    uint64
}

type trailKey struct{}

func trailOf(ctx context.Context) *trail {
	t, _ := ctx.Value(trailKey{}).(*trail)
	return t
}

// unheld are changes that are made although the record cannot be written just
// then: without them nobody could mend anything. Their records are owed.
var unheld = map[string]bool{
	"POST /v1/journal/resume": true,
}

// watched begins a trail for a request of a route; nil where nothing is
// recorded: public files, and what devices do, which the journal holds.
func (a *api) watched(pattern string, p access.Permission, r *http.Request) (*trail, *http.Request) {
	if a.Record == nil || p == access.Public || a.machine[pattern] {
		return nil, r
	}
	op := a.operations[pattern]
	t := &trail{
		a: a, act: op, change: r.Method != http.MethodGet && r.Method != http.MethodHead && r.Method != http.MethodOptions,
		read: p == access.ViewAudit || p == access.ViewSecurity || p == access.ViewPersonal || strings.HasPrefix(op, "export"),
	}
	if t.act == "" {
		t.act = pattern
	}
	var b [8]byte
	rand.Read(b[:]) // never fails
	t.request = hex.EncodeToString(b[:])
	t.r = r.WithContext(context.WithValue(r.Context(), trailKey{}, t))
	return t, t.r
}

// known notes who a request turned out to be from, behind Require.
func (a *api) known(pattern string, p access.Permission, h http.Handler) http.Handler {
	if p == access.Public || p == access.Self {
		return h
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if t := trailOf(r.Context()); t != nil {
			if who, ok := access.From(r.Context()); ok {
				a.actor(r.Context(), who)
				t.how = access.Assurance(r.Context())
			}
			if err := a.Record.Ready(); err != nil && t.change && !unheld[pattern] {
				w.Header().Set("Retry-After", "5")
				problem(w, http.StatusServiceUnavailable, "not recorded, not done", "the record of what people do cannot be written, so nothing is changed; the server's log has the cause")
				return
			}
		}
		h.ServeHTTP(w, r)
	})
}

// actor notes who does what a request asks for, on a route that finds that out
// by itself, such as a log-in.
func (a *api) actor(ctx context.Context, who access.Principal) {
	if t := trailOf(ctx); t != nil {
		t.mu.Lock()
		t.who = &who
		t.mu.Unlock()
	}
}

// changed notes what a request changed, for the record: act is what was done,
// such as "rule.apply", object what it was done to, and before and after what
// is kept of it, nil where there is none. Secrets and fields that are declared
// personal are left out of them; the object is kept as it is.
//
// The record is on disk before the request is answered.
func (a *api) changed(ctx context.Context, act, object string, before, after any) {
	e := audit.Entry{Act: act, Object: object, Outcome: audit.Done, Before: audit.Keep(before), After: audit.Keep(after)}
	if t := trailOf(ctx); t != nil {
		t.mu.Lock()
		if len(t.acts) < maxActs {
			t.acts = append(t.acts, e)
		} else {
			t.more++
		}
		t.mu.Unlock()
		return
	}
	who, _ := access.From(ctx)
	a.Log.Info("changed", "act", act, "object", object, "role", string(who.Role))
	if a.Record == nil {
		return
	}
	e.Who = audit.Who{Kind: audit.Machine}
	if who.Name != "" {
		e.Who = a.pseudonym(ctx, &who)
	}
	if err := a.Record.Add(context.WithoutCancel(ctx), e); err != nil {
		a.Log.Error("a change is not on record yet", "act", act, "error", err)
	}
}

// pseudonym is who somebody is in the record.
func (a *api) pseudonym(ctx context.Context, p *access.Principal) audit.Who {
	if p == nil {
		return audit.Who{Kind: audit.Stranger}
	}
	w := audit.Who{Role: string(p.Role), Kind: audit.Person}
	if p.Role == access.Display || p.Screen != "" {
		w.Kind = audit.Program
	}
	if a.Names == nil {
		return w
	}
	account := p.ID
	if account == "" {
		account = p.Name
	}
	id, err := a.Names.Pseudonym(ctx, account, p.Name)
	if err != nil {
		a.Log.Error("a record does not say who", "error", err)
	}
	w.ID = id
	return w
}

// clientAddress is where a request comes from.
func clientAddress(r *http.Request) string {
	ap, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return ""
	}
	return ap.Addr().Unmap().WithZone("").String()
}

// finish writes the record of a request that is about to be answered. It is
// false when something was done and is not on record.
func (t *trail) finish(status int) bool {
	t.mu.Lock()
	acts, more, refusal, who := t.acts, t.more, t.refusal, t.who
	t.acts = nil
	t.mu.Unlock()
	failed := status >= 400
	if refusal == nil && len(acts) == 0 && !t.change && !(t.read && !failed) {
		return true
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.r.Context()), 15*time.Second)
	defer cancel()
	e := audit.Entry{
		At: time.Now(), Who: t.a.pseudonym(ctx, who), From: clientAddress(t.r), Request: t.request, Act: t.act, Object: t.r.URL.Path,
		Outcome: audit.Done, Status: status,
	}
	e.Assurance = t.how
	switch {
	case refusal != nil:
		e.Outcome, e.Reason = audit.Refused, refusal.Reason
		t.a.Record.Note(e)
		return true
	case len(acts) == 0 && failed:
		e.Outcome = audit.Failed
		t.a.Record.Note(e)
		return true
	case len(acts) == 0 && !t.change:
		t.a.Record.Note(e)
		return true
	case len(acts) == 0:
		acts = []audit.Entry{e}
	}
	for i := range acts {
		c := &acts[i]
		c.At, c.Who, c.From, c.Request, c.Status, c.Assurance = e.At, e.Who, e.From, e.Request, e.Status, e.Assurance
	}
	if more > 0 {
		last := acts[len(acts)-1]
		last.Object, last.Before, last.After, last.Count = "", nil, nil, more
		acts = append(acts, last)
	}
	if err := t.a.Record.Add(ctx, acts...); err != nil {
		t.a.Log.Error("a change is not on record yet", "act", acts[0].Act, "error", err)
		return unheld[t.r.Pattern] || failed
	}
	return true
}

type auditInput struct {
	Who     string `query:"who" maxLength:"200" doc:"Account, name or pseudonym"`
	Act     string `query:"act" maxLength:"100" doc:"Such as rule.apply, or rule. for all that begin so"`
	Object  string `query:"object" maxLength:"200" doc:"A part of what it was done to"`
	Address string `query:"address" maxLength:"64" doc:"Where it came from, or the beginning of it"`
	Outcome string `query:"outcome" enum:"done,refused,failed"`
	From    string `query:"from" maxLength:"64"`
	To      string `query:"to" maxLength:"64"`
	Below   uint64 `query:"below" doc:"Records with smaller numbers: the next page"`
	Limit   int    `query:"limit" minimum:"1" maximum:"1000" default:"100"`
}

type auditRecord struct {
	audit.Entry
	Name string `json:"name,omitempty" doc:"Who the actor is, where that was not erased"`
}

type auditOutput struct {
	Body struct {
		Records []auditRecord `json:"records" doc:"The newest first"`
		Below   uint64        `json:"below,omitempty" doc:"Ask again with this for the next page; a page may be empty and have a next one"`
	}
}

type auditVerifyInput struct {
	Checkpoint string `query:"checkpoint" maxLength:"2000" doc:"A checkpoint that was carried away, as JSON: the record must agree with it"`
}

type auditVerifyOutput struct{ Body audit.Report }

type auditCheckpointOutput struct {
	Body struct {
		audit.Checkpoint
		PublicKey string `json:"publicKey" doc:"In PEM: what checks the signature"`
	}
}

func (a *api) auditRoutes() {
	route(a, access.ViewAudit, huma.Operation{
		OperationID: "list-audit", Method: http.MethodGet, Path: "/v1/audit", Tags: []string{"audit"},
		Summary: "What was done and refused, the newest first",
	}, a.listAudit)
	route(a, access.ViewAudit, huma.Operation{
		OperationID: "verify-audit", Method: http.MethodGet, Path: "/v1/audit/verify", Tags: []string{"audit"},
		Summary:     "Read the whole record and say what was altered, removed, inserted or moved",
		Description: "Compares with the checkpoints that are kept, and with one that is given.",
	}, a.verifyAudit)
	route(a, access.ViewAudit, huma.Operation{
		OperationID: "sign-audit", Method: http.MethodGet, Path: "/v1/audit/checkpoint", Tags: []string{"audit"},
		Summary:     "Sign how far the record goes now",
		Description: "Carried away, a checkpoint shows later that nothing up to its record was changed and that the end is not missing.",
	}, a.signAudit)
	a.raw(access.ViewAudit, huma.Operation{
		OperationID: "export-audit", Method: http.MethodGet, Path: "/v1/audit/export", Tags: []string{"audit"},
		Summary:     "The record as it is kept, JSON lines",
		Description: "Each line names the SHA-256 of the one before. A download that was cut goes on with n, the number behind the last whole line.",
		Parameters: []*huma.Param{
			{Name: "n", In: "query", Schema: &huma.Schema{Type: "integer"}, Description: "The number of the first record"},
			{Name: "from", In: "query", Schema: &huma.Schema{Type: "string"}}, {Name: "to", In: "query", Schema: &huma.Schema{Type: "string"}},
		},
		Responses: map[string]*huma.Response{"200": {Description: "JSON lines", Content: map[string]*huma.MediaType{"application/jsonl": {}}}},
	}, http.HandlerFunc(a.exportAudit))
	route(a, access.ErasePersonal, huma.Operation{
		OperationID: "erase-person", Method: http.MethodPost, Path: "/v1/personal/{account}/erase", Tags: []string{"audit"},
		DefaultStatus: http.StatusOK,
		Summary:       "Forget who an account belonged to",
		Description:   "The record keeps its pseudonym, and the chain stays whole; the name is gone from it for good. The account itself is closed and its names removed.",
	}, a.erasePerson)
}

func (a *api) listAudit(ctx context.Context, in *auditInput) (*auditOutput, error) {
	if a.Record == nil {
		return nil, absent("the audit record")
	}
	now := a.now()
	q := audit.Query{
		Who: in.Who, Act: in.Act, Object: in.Object, From: in.Address, Outcome: audit.Outcome(in.Outcome), Below: in.Below, Limit: in.Limit,
	}
	var err error
	if in.From != "" {
		if q.After, err = parseTime(in.From, now, a.Calendar); err != nil {
			return nil, badParameter("from", in.From, err)
		}
	}
	if in.To != "" {
		if q.Until, err = parseTime(in.To, now, a.Calendar); err != nil {
			return nil, badParameter("to", in.To, err)
		}
	}
	found, err := a.Record.Find(ctx, q)
	if err != nil {
		return nil, err
	}
	out := &auditOutput{}
	out.Body.Records = make([]auditRecord, 0, len(found.Entries))
	for _, e := range found.Entries {
		out.Body.Records = append(out.Body.Records, auditRecord{e, a.Record.Name(e.Who)})
	}
	out.Body.Below = found.Below
	return out, nil
}

func (a *api) verifyAudit(ctx context.Context, in *auditVerifyInput) (*auditVerifyOutput, error) {
	if a.Record == nil {
		return nil, absent("the audit record")
	}
	var brought []audit.Checkpoint
	if in.Checkpoint != "" {
		c, err := audit.ParseCheckpoint([]byte(in.Checkpoint))
		if err != nil {
			return nil, badParameter("checkpoint", in.Checkpoint, err)
		}
		brought = append(brought, c)
	}
	report, err := a.Record.Verify(ctx, brought...)
	if err != nil {
		return nil, err
	}
	if !report.OK {
		a.signal(audit.Signal{Kind: audit.ChainBroken, Key: "audit", Detail: report.Faults[0].Detail})
	}
	return &auditVerifyOutput{report}, nil
}

func (a *api) signAudit(ctx context.Context, _ *struct{}) (*auditCheckpointOutput, error) {
	if a.Record == nil {
		return nil, absent("the audit record")
	}
	c, err := a.Record.Mark(ctx)
	if err != nil {
		return nil, huma.Error503ServiceUnavailable(err.Error())
	}
	out := &auditCheckpointOutput{}
	out.Body.Checkpoint, out.Body.PublicKey = c, pemOf(a.Record.PublicKey())
	return out, nil
}

func pemOf(key ed25519.PublicKey) string {
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return ""
	}
	return string(bytes.TrimSpace(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})))
}

func (a *api) exportAudit(w http.ResponseWriter, r *http.Request) {
	if a.Record == nil {
		problem(w, http.StatusNotImplemented, "", "the audit record is not part of this server")
		return
	}
	q, now := r.URL.Query(), a.now()
	var n uint64
	var from, to time.Time
	var err error
	if v := q.Get("n"); v != "" {
		n, err = strconv.ParseUint(v, 10, 64)
	}
	if v := q.Get("from"); v != "" && err == nil {
		from, err = parseTime(v, now, a.Calendar)
	}
	if v := q.Get("to"); v != "" && err == nil {
		to, err = parseTime(v, now, a.Calendar)
	}
	if err != nil {
		problem(w, http.StatusUnprocessableEntity, "", err.Error())
		return
	}
	w.Header().Set("Content-Type", "application/jsonl")
	w.Header().Set("Content-Disposition", `attachment; filename="audit.jsonl"`)
	w.WriteHeader(http.StatusOK)
	if err := a.Record.Export(r.Context(), &unhurried{w: w, control: http.NewResponseController(w)}, n, from, to); err != nil {
		a.Log.Warn("an export of the record was cut", "error", err)
		panic(http.ErrAbortHandler) // so that it is not taken for the whole
	}
}

// unhurried gives each piece of a long answer time of its own.
type unhurried struct {
	w       http.ResponseWriter
	control *http.ResponseController
	since   time.Time
}

func (p *unhurried) Write(b []byte) (int, error) {
	if now := time.Now(); now.Sub(p.since) > answerPatience/2 {
		_ = p.control.SetWriteDeadline(now.Add(answerPatience))
		p.since = now
	}
	return p.w.Write(b)
}

type eraseInput struct {
	Account string `path:"account" maxLength:"200"`
}

type eraseOutput struct {
	Body struct {
		Pseudonym string `json:"pseudonym,omitempty" doc:"Who the record still says did it"`
		Account   bool   `json:"account" doc:"There was an account, and it is closed"`
	}
}

func (a *api) erasePerson(ctx context.Context, in *eraseInput) (*eraseOutput, error) {
	if a.Names == nil {
		return nil, absent("the audit record")
	}
	out := &eraseOutput{}
	if a.Erase != nil {
		gone, err := a.Erase(ctx, in.Account)
		if err != nil {
			return nil, huma.Error409Conflict(err.Error())
		}
		out.Body.Account = gone
	}
	id, err := a.Names.Erase(ctx, in.Account)
	if err != nil {
		return nil, huma.Error503ServiceUnavailable(err.Error())
	}
	if id == "" && !out.Body.Account {
		return nil, huma.Error404NotFound("nobody of that name is known")
	}
	out.Body.Pseudonym = id
	if t := trailOf(ctx); t != nil {
		t.hide()
	}
	a.changed(ctx, "person.erase", id, nil, nil)
	return out, nil
}

// hide keeps the address of a request out of the record: it names somebody.
func (t *trail) hide() {
	t.mu.Lock()
	defer t.mu.Unlock()
	r := *t.r
	u := *r.URL
	u.Path = ""
	r.URL = &u
	t.r = &r
}
