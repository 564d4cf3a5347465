package geo

import (
	"math"
	"math/big"

	"github.com/paulmach/orb"
)

// orient is positive when c lies left of the line from a to b, negative when
// right, and zero exactly when on it. The double-precision result is used when
// its error bound (Shewchuk, Adaptive Precision Floating-Point Arithmetic, 1997)
// proves the sign; otherwise it is worked out exactly. Without that, a place
// within rounding of a corner could fall between three wards that meet there.
func orient(a, b, c orb.Point) float64 {
	l := (a[0] - c[0]) * (b[1] - c[1])
	r := (a[1] - c[1]) * (b[0] - c[0])
	det := l - r
	const bound = (3 + 16*0x1p-53) * 0x1p-53
	if math.Abs(det) > bound*(math.Abs(l)+math.Abs(r)) {
		return det
	}
	return orientExact(a, b, c)
}

// exactBits holds any product of differences of doubles below 2^10 without
// rounding: the least bit of a double is 2^-1074.
const exactBits = 2 * (1074 + 12)

func orientExact(a, b, c orb.Point) float64 {
	diff := func(x, y float64) *big.Float {
		f := new(big.Float).SetPrec(exactBits)
		return f.Sub(big.NewFloat(x), big.NewFloat(y))
	}
	product := func(x, y *big.Float) *big.Float {
		return new(big.Float).SetPrec(exactBits).Mul(x, y)
	}
	l := product(diff(a[0], c[0]), diff(b[1], c[1]))
	r := product(diff(a[1], c[1]), diff(b[0], c[0]))
	return float64(l.Cmp(r))
}

// ringArea is twice the signed area: positive when counter-clockwise.
func ringArea(r orb.Ring) float64 {
	sum := 0.0
	for i := 1; i < len(r); i++ {
		sum += (r[i-1][0]-r[0][0])*(r[i][1]-r[0][1]) - (r[i][0]-r[0][0])*(r[i-1][1]-r[0][1])
	}
	return sum
}
