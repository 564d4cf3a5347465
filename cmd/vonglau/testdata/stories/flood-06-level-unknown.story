# Mức báo động chưa ai cho biết thì không đoán: luật không phán gì.
# A level nobody has told us is unknown: the rule judges nothing.
wards
rules urban-flood
thresholds
stations:
  - {id: song-nho, name: {vi: "Sông nhỏ", en: "Small river"}, devices: [song]}
limits:
  - {set: river-bd, level: "3", name: {vi: BĐ3, en: AL3}, subject: "station:song-nho", quantity: water_level, value: null, unit: m, basis: "Quyết định", authority: "Thủ tướng", doubt: "not known to us", valid_from: "2020-03-15", colour: limit}
end
device song river-level
subscribe chihuy "Ban chỉ huy phòng thủ dân sự"
00:00..00:20 every 1m song water_level=4.10
= none
