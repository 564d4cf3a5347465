package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"time"

	firmwaresim "vonglau/firmware-sim"
)

// runBoards runs devices that take commands and firmware.
func runBoards(ctx context.Context, args []string, out, progress io.Writer) error {
	f := flag.NewFlagSet("boards", flag.ContinueOnError)
	var t target
	t.flags(f)
	count := f.Int("devices", 20, "`number` of boards")
	prefix := f.String("prefix", "board-", "`text` before every device id")
	profile := f.String("profile", "weather", "`profile` of the boards")
	version := f.String("version", "1.0.0", "firmware `version` they leave the factory with")
	revB := f.Int("rev-b", 0, "`number` of boards with hardware revision b, the first ones")
	cuts := f.Float64("power-cuts", 0.05, "`share` of updates during which the power fails once")
	off := f.Duration("off", time.Second, "how long the power is away")
	seed := f.Uint64("seed", 7, "`number` of everything random")
	duration := f.Duration("duration", 0, "stop after this time; run until interrupted when 0")
	asJSON := f.Bool("json", false, "print the result as JSON")
	if rest, err := parse(f, args, out); err != nil {
		return err
	} else if len(rest) > 0 {
		return wrongUsage("unexpected %q", rest[0])
	}
	if *count < 1 || *count > 20_000 || *revB < 0 || *revB > *count || *cuts < 0 || *cuts > 1 || *off <= 0 {
		return wrongUsage("want 1 to 20000 boards, no more of revision b than there are, power cuts from 0 to 1, and a time that is off")
	}
	server, credentials, err := t.open()
	if err != nil {
		return err
	}
	list := firmwaresim.BoardRegistrations(*prefix, *profile, *count)
	if err := firmwaresim.Provision(ctx, server, credentials, list); err != nil {
		return err
	}
	for i := range list {
		list[i].Token = credentials.Token(list[i].ID)
	}
	key, err := server.FirmwareKey(ctx)
	if err != nil {
		return err
	}
	boards, err := firmwaresim.NewBoards(firmwaresim.BoardOptions{
		API: server, MQTT: t.mqtt, CoAP: t.coap, Boards: list, RevB: *revB, Version: *version, Key: key, PowerCuts: *cuts, Off: *off, Seed: *seed,
	})
	if err != nil {
		return err
	}
	if *duration > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, *duration)
		defer cancel()
	}
	fmt.Fprintf(progress, "%d boards of %s, firmware %s; interrupt to end\n", *count, *profile, *version)
	boards.Run(ctx)
	s := &boards.Stats
	if *asJSON {
		return printJSON(out, map[string]any{
			"commands": s.Commands.Load(), "late": s.Late.Load(), "powerCuts": s.PowerCuts.Load(), "resumed": s.Resumed.Load(),
			"installed": s.Installed.Load(), "rolledBack": s.RolledBack.Load(), "refused": s.Refused.Load(), "boards": boards.State(),
		})
	}
	fmt.Fprintf(out, "commands %d, power cuts %d, transfers resumed %d, installed %d, rolled back %d, refused %d\n",
		s.Commands.Load(), s.PowerCuts.Load(), s.Resumed.Load(), s.Installed.Load(), s.RolledBack.Load(), s.Refused.Load())
	return nil
}

// runImage writes an image for boards.
func runImage(_ context.Context, args []string, out, _ io.Writer) error {
	f := flag.NewFlagSet("image", flag.ContinueOnError)
	version := f.String("version", "", "its `version` (needed)")
	size := f.Int("size", 64<<10, "`bytes` it has")
	fails := f.String("fails-on", "", "hardware `revision` it does not come up on")
	file := f.String("out", "", "`file` to write (needed)")
	if rest, err := parse(f, args, out); err != nil {
		return err
	} else if len(rest) > 0 || *version == "" || *file == "" || *size > 256<<20 {
		return wrongUsage("want --version, --out and at most 256 MiB")
	}
	var revisions []string
	if *fails != "" {
		revisions = []string{*fails}
	}
	image, err := firmwaresim.MakeImage(*version, *size, revisions...)
	if err != nil {
		return wrongUsage("%v", err)
	}
	return os.WriteFile(*file, image, 0o644)
}
