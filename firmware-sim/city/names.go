package city

import (
	"fmt"
	"math"
)

// The names are made up from common words; none is meant for a real place.
var (
	urbanWards = []string{
		"Vọng Lâu", "Cửa Bắc Vọng", "Bến Thóc", "Hàng Tre", "Sen Hồ", "Ngọc Lâu", "Trúc Giang", "Kim Vọng",
		"Thanh Vọng", "Xuân Lâu", "Phú Lâu", "Hương Bến", "An Lâu", "Diên Vọng", "Tân Vọng",
	}
	ruralWards = []string{
		"Đồng Sậy", "Bãi Ngô", "Gò Trúc", "Làng Gạo", "Cồn Dâu", "Vạn Chài", "Liên Trì Vọng", "Quỳnh Lâu",
		"Hòa Vọng", "Mỹ Lâu", "Phù Sa", "Đông Lâu", "Tây Vọng", "Bắc Lâu", "Nam Vọng", "Yên Bến",
	}
	riverBridges = []string{"Cầu Vọng Lâu", "Cầu Bến Thóc", "Cầu Phù Sa", "Cầu Gió Nồm", "Cầu Trăng Rằm", "Cầu Bãi Ngô", "Cầu Sao Mai", "Cầu Làng Gạo"}
	trades       = []string{
		"Hàng Tre", "Hàng Cói", "Hàng Sợi", "Hàng Gạo", "Hàng Chiếu", "Hàng Nón", "Hàng Đèn", "Hàng Lụa", "Hàng Vải",
		"Hàng Gốm", "Hàng Đồng", "Hàng Thiếc", "Hàng Mắm", "Hàng Muối", "Hàng Quạt", "Hàng Hương", "Hàng Giấy", "Hàng Sơn",
		"Hàng Mây", "Hàng Khoai", "Hàng Cau", "Hàng Chè", "Hàng Bún", "Hàng Dầu", "Hàng Thuyền", "Hàng Lưới", "Hàng Trống",
	}
	plants = []string{
		"Hoa Gạo", "Phượng Vĩ", "Bằng Lăng", "Hoa Sữa", "Hoa Ban", "Ngọc Lan", "Hoàng Lan", "Xà Cừ", "Muồng Vàng", "Lộc Vừng",
		"Hoa Mai", "Hải Đường", "Tường Vi", "Mẫu Đơn", "Thiên Lý", "Dạ Hương", "Sen Hồng", "Súng Tím", "Cúc Vàng", "Hướng Dương",
		"Mộc Lan", "Trúc Đào", "Tùng Xanh", "Bách Xanh", "Liễu Rủ", "Dâu Tằm", "Lúa Mới", "Lúa Vàng", "Cánh Diều", "Sao Mai",
		"Sao Khuê", "Trăng Rằm", "Bình Minh", "Ban Mai", "Hoàng Hôn", "Gió Nồm", "Mưa Rào", "Nắng Hạ", "Heo May", "Đồng Quê",
		"Bến Cũ", "Cầu Vồng", "Phù Sa", "Bãi Bồi", "Triền Đê", "Hương Cau", "Khói Bếp", "Mái Đình", "Giếng Làng", "Bờ Tre",
	}
)

// nameStreets gives every street a name. Alleys are numbered off the street they
// leave, as on any Vietnamese map.
func (b *builder) nameStreets() {
	r := b.rng(stageNames)
	old := append([]string(nil), trades...)
	r.Shuffle(len(old), func(i, j int) { old[i], old[j] = old[j], old[i] })
	rest := append([]string(nil), plants...)
	r.Shuffle(len(rest), func(i, j int) { rest[i], rest[j] = rest[j], rest[i] })
	used := 0
	next := func() string {
		name := rest[used%len(rest)]
		if k := used / len(rest); k > 0 {
			name = fmt.Sprintf("%s %d", name, k+1)
		}
		used++
		return name
	}
	country, alleys := 0, map[string]int{}
	for _, w := range b.ways {
		if w.name != "" {
			continue
		}
		mid := w.line[len(w.line)/2]
		switch {
		case w.class == Avenue && dist(mid, b.cores[0].at) < 900 && used == 0:
			w.name = "Đại lộ Vọng Lâu"
			used++
		case w.class == Avenue:
			w.name = "Đường " + next()
		case w.class == Road && b.urban(mid) < 0.12:
			country++
			w.name = fmt.Sprintf("Đường liên xã VL-%d", country)
		case w.class == Road && dist(mid, b.cores[0].at) < 1500 && len(old) > 0:
			w.name, old = "Phố "+old[0], old[1:]
		case w.class == Road:
			w.name = "Phố " + next()
		default:
			parent := b.parentOf(w)
			alleys[parent]++
			w.name = fmt.Sprintf("Ngõ %d %s", 2*alleys[parent]+1, parent)
		}
	}
}

// parentOf names the wider street nearest to an alley's ends.
func (b *builder) parentOf(w *way) string {
	best, name := math.Inf(1), "Vọng Lâu"
	for _, s := range b.near {
		for _, end := range [2]int{0, len(w.line) - 1} {
			p := w.line[end]
			s.each(p, 120, func(q sample) bool {
				o := b.ways[q.way]
				if o.class != Alley && o.name != "" && dist(p, q.at) < best {
					best, name = dist(p, q.at), o.name
				}
				return true
			})
		}
	}
	return name
}
