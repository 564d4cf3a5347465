// Command vonglau is the whole server and its client: `vonglau serve` runs the
// city's backend, every other command talks to a running one.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"regexp"
	"slices"
	"syscall"
)

// Exit codes of every command.
const (
	exitOK          = 0
	exitFailed      = 1 // the server or the machine said no; the message says why
	exitUsage       = 2 // the command line or a file is wrong
	exitUnreachable = 3 // no server answered
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:]))
}

func run(ctx context.Context, args []string) int {
	root := newRoot()
	root.SetArgs(placesAreNoFlags(args))
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitOK
	}
	fmt.Fprintln(os.Stderr, "vonglau:", err)
	var coded *codedError
	if errors.As(err, &coded) {
		return coded.code
	}
	return exitUsage
}

// west is a place west of Greenwich, which begins like a flag.
var west = regexp.MustCompile(`^-[0-9.]+,`)

// placesAreNoFlags lets `vonglau place -2.92,53.44` be written as any other
// place; parsePlace does not mind the space.
func placesAreNoFlags(args []string) []string {
	args = slices.Clone(args)
	for i, a := range args {
		if west.MatchString(a) {
			args[i] = " " + a
		}
	}
	return args
}

// codedError carries the exit code an error asks for.
type codedError struct {
	code int
	err  error
}

func (e *codedError) Error() string { return e.err.Error() }
func (e *codedError) Unwrap() error { return e.err }

func failed(err error) error {
	if err == nil {
		return nil
	}
	var coded *codedError
	if errors.As(err, &coded) {
		return err
	}
	return &codedError{exitFailed, err}
}
