package trust

import "fmt"

// Seal encrypts what must be read again by this server alone, such as the
// secret a receiver of alerts shares with us. purpose and id bind it: sealed for
// one, it does not open for another.
func (a *Authority) Seal(plain []byte, purpose, id string) []byte {
	return a.seal.close(plain, purpose+"\x00"+id)
}

// Unseal opens what Seal has closed for the same purpose and id.
func (a *Authority) Unseal(sealed []byte, purpose, id string) ([]byte, error) {
	plain, err := a.seal.open(sealed, purpose+"\x00"+id)
	if err != nil {
		return nil, fmt.Errorf("the %s of %s cannot be unsealed; is secret.key the one it was sealed with? %w", purpose, id, err)
	}
	return plain, nil
}
