package warning

import (
	"slices"
	"strings"
	"time"
)

// Template is what a message of one kind says before anybody has changed it.
// {area} stands for the name of the area.
type Template struct {
	Key           string   `json:"key"`
	Name          Text     `json:"name"`
	Categories    []string `json:"categories"`
	ResponseTypes []string `json:"responseTypes"`
	Event         Text     `json:"event"`
	Headline      Text     `json:"headline"`
	Description   Text     `json:"description"`
	Instruction   Text     `json:"instruction"`
}

var templates = []Template{
	{
		Key: "flood", Name: Text{"Ngập úng đô thị", "Urban flood"}, Categories: []string{"Met"}, ResponseTypes: []string{"Avoid", "Prepare"},
		Event:    Text{"Ngập úng đô thị", "Urban flooding"},
		Headline: Text{"Ngập úng tại {area}", "Flooding in {area}"},
		Description: Text{
			"Trạm đo ghi nhận đường phố bị ngập tại {area}. Nước có thể còn dâng khi mưa tiếp tục.",
			"Sensors report flooded streets in {area}. The water may rise further while it rains.",
		},
		Instruction: Text{
			"Không đi vào đoạn đường ngập. Đưa xe và đồ đạc lên cao, ngắt điện ở nơi nước có thể vào. Gọi 112 khi cần cứu hộ.",
			"Do not enter flooded roads. Move vehicles and belongings to higher places and switch off power where water may come in. Call 112 for rescue.",
		},
	},
	{
		Key: "air", Name: Text{"Chất lượng không khí", "Air quality"}, Categories: []string{"Env", "Health"}, ResponseTypes: []string{"Avoid", "Monitor"},
		Event:    Text{"Không khí ô nhiễm", "Polluted air"},
		Headline: Text{"Không khí ô nhiễm tại {area}", "Polluted air in {area}"},
		Description: Text{
			"Trạm đo ghi nhận không khí ô nhiễm tại {area}.",
			"Sensors report polluted air in {area}.",
		},
		Instruction: Text{
			"Hạn chế hoạt động ngoài trời, nhất là trẻ em, người cao tuổi và người có bệnh hô hấp, tim mạch. Đeo khẩu trang khi ra ngoài, đóng cửa sổ.",
			"Limit outdoor activity, above all children, older people and people with lung or heart disease. Wear a mask outside and keep windows closed.",
		},
	},
	{
		Key: "network", Name: Text{"Gián đoạn mạng giám sát", "Monitoring network down"}, Categories: []string{"Infra"}, ResponseTypes: []string{"Monitor"},
		Event:    Text{"Gián đoạn hệ thống quan trắc", "Monitoring outage"},
		Headline: Text{"Tạm gián đoạn quan trắc tại {area}", "Monitoring is interrupted in {area}"},
		Description: Text{
			"Thiết bị quan trắc tại {area} tạm thời không gửi được số liệu. Cảnh báo tự động ở khu vực này có thể chậm hoặc không có.",
			"Sensors in {area} cannot report for now. Automatic warnings for this area may be late or missing.",
		},
		Instruction: Text{
			"Theo dõi thông báo của chính quyền địa phương và tự quan sát tình hình xung quanh.",
			"Follow announcements by the local authorities and watch your surroundings.",
		},
	},
	{
		Key: "power", Name: Text{"Điện và chiếu sáng", "Power and lighting"}, Categories: []string{"Infra", "Safety"}, ResponseTypes: []string{"Prepare", "Avoid"},
		Event:    Text{"Mất điện, chiếu sáng công cộng", "Power or street lighting failure"},
		Headline: Text{"Mất điện, chiếu sáng tại {area}", "Power or street lighting is down in {area}"},
		Description: Text{
			"Lưới điện hoặc chiếu sáng công cộng tại {area} đang gián đoạn.",
			"Power supply or street lighting in {area} is interrupted.",
		},
		Instruction: Text{
			"Đi lại cẩn thận, không đến gần cột điện, dây điện và tủ điện. Báo nơi dây điện đứt cho điện lực.",
			"Move with care and stay away from poles, lines and cabinets. Report broken lines to the power company.",
		},
	},
	{
		Key: "general", Name: Text{"Thông báo khác", "Other"}, Categories: []string{"Other"}, ResponseTypes: []string{"Monitor"},
		Event:       Text{"Thông báo khẩn", "Urgent notice"},
		Headline:    Text{"Thông báo khẩn cho {area}", "Urgent notice for {area}"},
		Description: Text{"", ""},
		Instruction: Text{"Theo dõi thông báo của chính quyền địa phương.", "Follow announcements by the local authorities."},
	},
}

// Templates lists what a draft can begin from.
func Templates() []Template { return slices.Clone(templates) }

// FindTemplate finds one by its key.
func FindTemplate(key string) (Template, bool) {
	i := slices.IndexFunc(templates, func(t Template) bool { return t.Key == key })
	if i < 0 {
		return Template{}, false
	}
	return templates[i], true
}

// TemplateFor chooses by the CAP category of what happened.
func TemplateFor(category string) Template {
	for _, t := range templates {
		if slices.Contains(t.Categories, category) {
			return t
		}
	}
	return templates[len(templates)-1]
}

// Seed is what is known when a draft is begun.
type Seed struct {
	Template string
	// Category chooses the template when none is named.
	Category string
	// Priority is the worst of the alarms, 0 without one.
	Priority int
	AreaName Text
	Zones    []Zone
	Alarms   []string
	// Facts are what the alarms say, a sentence each.
	Facts   []Text
	Expires time.Time
	// Note says what the exercise is.
	Note string
}

// Begin makes the draft that a seed suggests. Severity is suggested from the
// priority of the alarms, never the official level of risk; no alarm suggests
// Extreme, which is for people to say.
func Begin(s Seed) Content {
	t, ok := FindTemplate(s.Template)
	if !ok {
		t = TemplateFor(s.Category)
	}
	c := Content{
		Template: t.Key, Categories: slices.Clone(t.Categories), ResponseTypes: slices.Clone(t.ResponseTypes), AreaName: s.AreaName,
		Event: t.Event, Headline: t.Headline, Description: t.Description, Instruction: t.Instruction,
		Expires: s.Expires, Zones: s.Zones, Alarms: s.Alarms, Note: s.Note,
		Urgency: "Unknown", Severity: "Unknown", Certainty: "Unknown",
	}
	if s.Priority > 0 {
		c.Certainty = "Observed"
		c.Urgency, c.Severity = "Expected", "Minor"
		switch s.Priority {
		case 1:
			c.Urgency, c.Severity = "Immediate", "Severe"
		case 2:
			c.Severity = "Moderate"
		}
	}
	area := c.AreaName
	if area == (Text{}) {
		area = Text{"thành phố", "the city"}
	}
	for _, x := range []*Text{&c.Headline, &c.Description, &c.Instruction} {
		x.VI, x.EN = strings.ReplaceAll(x.VI, "{area}", area.VI), strings.ReplaceAll(x.EN, "{area}", area.EN)
	}
	for _, f := range s.Facts[:min(len(s.Facts), 10)] {
		c.Description.VI = sentence(c.Description.VI, f.VI)
		c.Description.EN = sentence(c.Description.EN, f.EN)
	}
	return c
}

func sentence(text, more string) string {
	if more = strings.TrimSpace(more); more == "" {
		return text
	}
	if !strings.HasSuffix(more, ".") {
		more += "."
	}
	return strings.TrimSpace(text + "\n" + more)
}
