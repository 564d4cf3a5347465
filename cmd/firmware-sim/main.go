// Command firmware-sim is a city of field devices over real sockets: it draws
// the city, runs its devices, replays recordings and loads a server.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"os/signal"
	"strings"
	"syscall"

	firmwaresim "vonglau/firmware-sim"
)

// Exit codes.
const (
	exitOK     = 0
	exitFailed = 1 // it did not work, or readings went without an answer
	exitUsage  = 2 // the command line is wrong
)

type command struct {
	name, about string
	run         func(ctx context.Context, args []string, out, progress io.Writer) error
}

var commands = []command{
	{"city", "draw the simulated city as GeoJSON layers", runCity},
	{"run", "run the city's devices against a server", runFleet},
	{"replay", "send a recording as if its devices were here", runReplay},
	{"load", "send readings at a steady rate and record what was acknowledged", runLoad},
	{"boards", "run devices that take commands and firmware", runBoards},
	{"image", "write a firmware image for boards", runImage},
	{"scenarios", "list the scenarios and the mappings of recordings", runScenarios},
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := start(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// start runs one command line and gives the exit code.
func start(ctx context.Context, args []string, out, progress io.Writer) int {
	if len(args) == 0 {
		usage(progress)
		return exitUsage
	}
	switch args[0] {
	case "help", "-h", "-help", "--help":
		usage(out)
		return exitOK
	}
	for _, c := range commands {
		if c.name != args[0] {
			continue
		}
		err := c.run(ctx, args[1:], out, progress)
		var wrong usageError
		switch {
		case err == nil, errors.Is(err, flag.ErrHelp):
			return exitOK
		case errors.As(err, &wrong):
			fmt.Fprintf(progress, "firmware-sim %s: %v\n", c.name, err)
			return exitUsage
		}
		fmt.Fprintf(progress, "firmware-sim %s: %v\n", c.name, err)
		return exitFailed
	}
	fmt.Fprintf(progress, "firmware-sim: there is no command %q\n\n", args[0])
	usage(progress)
	return exitUsage
}

func usage(w io.Writer) {
	fmt.Fprint(w, "firmware-sim: field devices as they behave, over real sockets.\n\n")
	for _, c := range commands {
		fmt.Fprintf(w, "  firmware-sim %-10s %s\n", c.name, c.about)
	}
	fmt.Fprint(w, `
examples:
  firmware-sim city --seed 7 --out city/
  firmware-sim run --server http://[::1]:8080 --token-file data/admin.token --scenario typhoon --state data/fleet.json
  firmware-sim replay bus.csv --mapping liverpool-bus --speed 60 --move-to 106.168,20.434 --token-file data/admin.token
  firmware-sim load --devices 100 --rate 2000 --duration 30s --history acked.csv --json --token-file data/admin.token
  firmware-sim boards --devices 200 --power-cuts 0.05 --token-file data/admin.token
  firmware-sim image --version 1.1.0 --fails-on b --out weather-1.1.0.bin

firmware-sim COMMAND --help tells a command's flags. VONGLAU_SERVER and
VONGLAU_TOKEN stand for --server and the token.
Exit codes: 0 done, 1 failed or readings left without an answer, 2 wrong usage.
`)
}

// usageError is a wrong command line.
type usageError struct{ error }

func wrongUsage(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// parse reads flags that may stand before and after the arguments.
func parse(f *flag.FlagSet, args []string, out io.Writer) ([]string, error) {
	f.SetOutput(io.Discard)
	f.Usage = func() {}
	var rest []string
	for {
		if err := f.Parse(args); err != nil {
			if errors.Is(err, flag.ErrHelp) {
				fmt.Fprintf(out, "firmware-sim %s\n\nflags:\n", f.Name())
				f.SetOutput(out)
				f.PrintDefaults()
				return nil, err
			}
			return nil, usageError{err}
		}
		if f.NArg() == 0 {
			return rest, nil
		}
		rest = append(rest, f.Arg(0))
		args = f.Args()[1:]
	}
}

// target is where a command finds the server.
type target struct {
	server, tokenFile, mqtt, coap, state string
}

func (t *target) flags(f *flag.FlagSet) {
	server := os.Getenv("VONGLAU_SERVER")
	if server == "" {
		server = "http://[::1]:8080"
	}
	f.StringVar(&t.server, "server", server, "the server's HTTP `address`, or VONGLAU_SERVER")
	f.StringVar(&t.tokenFile, "token-file", "", "`file` with an administrator's token; VONGLAU_TOKEN when absent")
	f.StringVar(&t.mqtt, "mqtt", "", "MQTT `address`, [::1]:1883; the server's host and port 1883 when absent, off for none")
	f.StringVar(&t.coap, "coap", "", "CoAP `address`, [::1]:5683; the server's host and port 5683 when absent, off for none")
	f.StringVar(&t.state, "state", "", "`file` that keeps the devices' credentials, so that a restart uses them again")
}

// open makes the API client and reads the credentials.
func (t *target) open() (*firmwaresim.Server, *firmwaresim.Credentials, error) {
	if !strings.Contains(t.server, "://") {
		t.server = "http://" + t.server
	}
	u, err := url.Parse(t.server)
	if err != nil || u.Hostname() == "" {
		return nil, nil, wrongUsage("--server %q is not an address like http://[::1]:8080", t.server)
	}
	t.mqtt = orPort(t.mqtt, u.Hostname(), "1883")
	t.coap = orPort(t.coap, u.Hostname(), "5683")
	s := &firmwaresim.Server{URL: t.server, Token: os.Getenv("VONGLAU_TOKEN")}
	if t.tokenFile != "" {
		b, err := os.ReadFile(t.tokenFile)
		if err != nil {
			return nil, nil, fmt.Errorf("read the token: %w", err)
		}
		s.Token = strings.TrimSpace(string(b))
	}
	if s.Token == "" {
		return nil, nil, wrongUsage("no token: give --token-file DATA/admin.token or VONGLAU_TOKEN")
	}
	c, err := firmwaresim.OpenCredentials(t.state)
	return s, c, err
}

func orPort(addr, host, port string) string {
	switch addr {
	case "":
		return net.JoinHostPort(host, port)
	case "off":
		return ""
	}
	return addr
}

func printJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	return e.Encode(v)
}
