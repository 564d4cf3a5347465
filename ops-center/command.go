package opscenter

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"vonglau/devices"
	"vonglau/ops-center/access"
	"vonglau/ops-center/notify"
)

// Commands is what the API asks of the record of commands.
type Commands interface {
	Send(ctx context.Context, r devices.CommandRequest) (devices.Command, error)
	// Approve lets a dangerous command go that somebody else asked for.
	Approve(ctx context.Context, device devices.ID, id string, by devices.Person) (devices.Command, error)
	Withdraw(ctx context.Context, device devices.ID, id, by string) (devices.Command, error)
	// List gives a device's commands, the newest first.
	List(device devices.ID) []devices.Command
}

// commandView is a command as people see it.
type commandView struct {
	ID        string               `json:"id"`
	Device    devices.ID           `json:"device"`
	Name      string               `json:"name"`
	Args      any                  `json:"args,omitempty"`
	By        string               `json:"by" personal:"name"`
	Dangerous bool                 `json:"dangerous"`
	Approved  string               `json:"approved,omitempty" personal:"name" doc:"The second person"`
	Asked     time.Time            `json:"asked"`
	Issued    *time.Time           `json:"issued,omitempty" doc:"When it was let go; absent while it waits for a second person"`
	Expires   time.Time            `json:"expires" doc:"It is never delivered after this"`
	State     devices.CommandState `json:"state" enum:"proposed,waiting,delivered,acknowledged,done,failed,expired,withdrawn"`
	Changed   time.Time            `json:"changed"`
	Result    any                  `json:"result,omitempty" doc:"What the device said last"`
}

func viewCommand(c devices.Command) commandView {
	v := commandView{
		ID: c.ID, Device: c.Device, Name: c.Name, By: c.By, Dangerous: c.Dangerous, Approved: c.Approved,
		Asked: c.Asked, Expires: c.Expires, State: c.State, Changed: c.Changed,
	}
	if len(c.Args) > 0 {
		v.Args = c.Args
	}
	if len(c.Result) > 0 {
		v.Result = c.Result
	}
	if !c.Issued.IsZero() {
		v.Issued = &c.Issued
	}
	return v
}

type sendCommandInput struct {
	ID   string `path:"id" maxLength:"64"`
	Body struct {
		Name string `json:"name" minLength:"1" maxLength:"64"`
		Args any    `json:"args,omitempty" doc:"Any JSON; what it means is between the command and the device"`
		TTL  string `json:"ttl,omitempty" default:"60s" maxLength:"32" doc:"How long it may wait for the device, such as 60s or 12h"`
	}
}

type oneCommandInput struct {
	ID      string `path:"id" maxLength:"64"`
	Command string `path:"command" maxLength:"64"`
}

type commandOutput struct {
	Status int
	Body   commandView
}

type commandsOutput struct {
	Body struct {
		Commands []commandView `json:"commands"`
	}
}

func (a *api) commandRoutes() {
	route(a, access.SendCommands, huma.Operation{
		OperationID: "send-command", Method: http.MethodPost, Path: "/v1/devices/{id}/commands", Tags: []string{"commands"},
		Summary: "Tell a device to do something",
		Description: "201 when the command is on disk. One that the device's profile marks dangerous is proposed (202): " +
			"it goes out when a second person approves it.",
		DefaultStatus: http.StatusCreated,
	}, a.sendCommand)
	route(a, access.View, huma.Operation{
		OperationID: "list-commands", Method: http.MethodGet, Path: "/v1/devices/{id}/commands", Tags: []string{"commands"},
		Summary: "What a device was told and what became of it, the newest first",
	}, func(ctx context.Context, in *deviceInput) (*commandsOutput, error) {
		d, err := a.findDevice(in.ID)
		if err != nil {
			return nil, err
		}
		if who, _ := access.From(ctx); who.Role == access.Officer && (who.Department == "" || !notify.SameDepartment(d.Owner, who.Department)) {
			return nil, huma.Error403Forbidden("what a device was told is for the department that answers for it")
		}
		if a.Commands == nil {
			return nil, absent("commands")
		}
		out := &commandsOutput{}
		out.Body.Commands = []commandView{}
		for _, c := range a.Commands.List(devices.ID(in.ID)) {
			out.Body.Commands = append(out.Body.Commands, viewCommand(c))
		}
		return out, nil
	})
	route(a, access.SendCommands, huma.Operation{
		OperationID: "approve-command", Method: http.MethodPost, Path: "/v1/devices/{id}/commands/{command}/approve", Tags: []string{"commands"},
		Summary: "Let a dangerous command go that somebody else asked for",
	}, func(ctx context.Context, in *oneCommandInput) (*commandOutput, error) {
		return a.changeCommand(ctx, in, "approve", func(c Commands, who access.Principal) (devices.Command, error) {
			if err := aPerson(who); err != nil {
				return devices.Command{}, err
			}
			return c.Approve(ctx, devices.ID(in.ID), in.Command, devices.Person{ID: who.ID, Name: who.Name})
		})
	})
	route(a, access.SendCommands, huma.Operation{
		OperationID: "withdraw-command", Method: http.MethodDelete, Path: "/v1/devices/{id}/commands/{command}", Tags: []string{"commands"},
		Summary: "Take back a command that was not delivered", DefaultStatus: http.StatusOK,
	}, func(ctx context.Context, in *oneCommandInput) (*commandOutput, error) {
		return a.changeCommand(ctx, in, "withdraw", func(c Commands, who access.Principal) (devices.Command, error) {
			return c.Withdraw(ctx, devices.ID(in.ID), in.Command, who.Name)
		})
	})
}

func (a *api) sendCommand(ctx context.Context, in *sendCommandInput) (*commandOutput, error) {
	if a.Commands == nil {
		return nil, absent("commands")
	}
	d, err := a.findDevice(in.ID)
	if err != nil {
		return nil, err
	}
	ttl, err := time.ParseDuration(in.Body.TTL)
	if err != nil {
		return nil, huma.Error422UnprocessableEntity("ttl cannot be read", &huma.ErrorDetail{Location: "body.ttl", Message: "want a duration such as 60s", Value: in.Body.TTL})
	}
	var args json.RawMessage
	if in.Body.Args != nil {
		if args, err = json.Marshal(in.Body.Args); err != nil {
			return nil, huma.Error422UnprocessableEntity("args cannot be read", err)
		}
	}
	who, _ := access.From(ctx)
	c, err := a.Commands.Send(ctx, devices.CommandRequest{Device: d.ID, Name: in.Body.Name, Args: args, TTL: ttl, By: who.Name, ByID: who.ID})
	if err != nil {
		return nil, a.commandProblem("send", in.ID, err)
	}
	a.changed(ctx, "command.send", in.ID+"/"+c.ID, nil, viewCommand(c))
	status := http.StatusCreated
	if c.State == devices.CommandProposed {
		status = http.StatusAccepted
	}
	return &commandOutput{status, viewCommand(c)}, nil
}

func (a *api) changeCommand(ctx context.Context, in *oneCommandInput, verb string, change func(Commands, access.Principal) (devices.Command, error)) (*commandOutput, error) {
	if a.Commands == nil {
		return nil, absent("commands")
	}
	if _, err := a.findDevice(in.ID); err != nil {
		return nil, err
	}
	who, _ := access.From(ctx)
	var before any
	for _, c := range a.Commands.List(devices.ID(in.ID)) {
		if c.ID == in.Command {
			before = viewCommand(c)
		}
	}
	c, err := change(a.Commands, who)
	if err != nil {
		return nil, a.commandProblem(verb, in.ID, err)
	}
	a.changed(ctx, "command."+verb, in.ID+"/"+c.ID, before, viewCommand(c))
	return &commandOutput{http.StatusOK, viewCommand(c)}, nil
}

// aPerson refuses to take a program for the second person: whoever may make its
// token would be both.
func aPerson(who access.Principal) error {
	if strings.HasPrefix(who.ID, access.ProgramID) {
		return huma.Error403Forbidden("a program's token is no second person")
	}
	return nil
}

// commandProblem says why a command was not sent or changed.
func (a *api) commandProblem(verb, device string, err error) error {
	var told huma.StatusError
	switch {
	case errors.As(err, &told):
		return err
	case errors.Is(err, devices.ErrNoCommand), errors.Is(err, devices.ErrNoDevice):
		return huma.Error404NotFound(err.Error())
	case errors.Is(err, devices.ErrSamePerson):
		return huma.Error403Forbidden(err.Error())
	case errors.Is(err, devices.ErrCommandState):
		return huma.Error409Conflict(err.Error())
	case errors.Is(err, devices.ErrBadCommand):
		return huma.Error422UnprocessableEntity(err.Error())
	}
	a.Log.Error("command: "+verb+" was not done", "device", device, "error", err)
	return unavailable(verb+" was not done", errors.New("it could not be recorded; try again"))
}
