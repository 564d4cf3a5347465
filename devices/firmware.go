package devices

import (
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Firmware describes an image for the devices of one profile. It does not
// change: another image is another version.
type Firmware struct {
	// Name is profile-version.
	Name    string `json:"name"`
	Version string `json:"version"`
	Profile string `json:"profile"`
	Size    int64  `json:"size"`
	SHA256  string `json:"sha256"` // hexadecimal
	// Signature is Ed25519 (RFC 8032) over Signed, by the city's key.
	Signature []byte    `json:"signature"`
	Added     time.Time `json:"added,omitzero"`
}

// Signed is what the signature covers: a line for each field, so that a small
// device can build it without a JSON library.
func (f *Firmware) Signed() []byte {
	return fmt.Appendf(nil, "vonglau firmware 1\n%s\n%s\n%s\n%d\n%s\n", f.Name, f.Version, f.Profile, f.Size, f.SHA256)
}

// Errors of firmware.
var (
	ErrBadSignature = errors.New("the firmware is not signed by the city's key")
	ErrBadFirmware  = errors.New("firmware not taken")
	ErrHasFirmware  = errors.New("another image has this profile and version; a version never changes")
)

// Verify checks that the city signed the manifest. Whoever has the image checks
// its size and SHA-256 against it.
func (f *Firmware) Verify(key ed25519.PublicKey) error {
	if len(key) != ed25519.PublicKeySize || !ed25519.Verify(key, f.Signed(), f.Signature) {
		return ErrBadSignature
	}
	return nil
}

// Check tells what is wrong with a manifest apart from its signature.
func (f *Firmware) Check() error {
	const versionChars = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.+-_"
	switch {
	case f.Version == "" || len(f.Version) > 40 || strings.Trim(f.Version, versionChars) != "" || strings.Trim(f.Version, ".") == "":
		return fmt.Errorf("version %.60q: 1 to 40 letters, digits and . + - _", f.Version)
	case f.Name != FirmwareName(f.Profile, f.Version):
		return fmt.Errorf("name %.100q: want %s", f.Name, FirmwareName(f.Profile, f.Version))
	case f.Size <= 0:
		return errors.New("the image is empty")
	}
	if sum, err := hex.DecodeString(f.SHA256); err != nil || len(sum) != 32 {
		return fmt.Errorf("sha256 %.80q: want 64 hexadecimal digits", f.SHA256)
	}
	return nil
}

// FirmwareName is the name of an image.
func FirmwareName(profile, version string) string { return profile + "-" + version }

// FirmwareReport is the result in a device's answer to CommandFirmware.
type FirmwareReport struct {
	// Version is what the device runs now.
	Version string `json:"version"`
	// Phase is how far an acknowledged command has come.
	Phase string `json:"phase,omitempty"` // download, install
	// Cause says why one failed.
	Cause string `json:"cause,omitempty"` // signature, hash, download, self_test, wrong_profile
	// RolledBack: the image was installed, did not prove itself, and the device
	// runs what it ran before.
	RolledBack bool `json:"rolledBack,omitempty"`
}
