# Nước sông qua báo động 1, 2 rồi 3 của trạm: mỗi mức báo đúng nơi cần biết.
# The river passes its three levels; each tells who asked for its priority.
wards
rules urban-flood
thresholds
stations:
  - {id: song-dao, name: {vi: "Sông Đào", en: "Đào river"}, devices: [song]}
limits:
  - {set: river-bd, level: "1", name: {vi: BĐ1, en: AL1}, subject: "station:song-dao", quantity: water_level, value: 3.2, unit: m, basis: "Quyết định", authority: "Thủ tướng", valid_from: "2020-03-15", colour: limit}
  - {set: river-bd, level: "2", name: {vi: BĐ2, en: AL2}, subject: "station:song-dao", quantity: water_level, value: 3.8, unit: m, basis: "Quyết định", authority: "Thủ tướng", valid_from: "2020-03-15", colour: limit}
  - {set: river-bd, level: "3", name: {vi: BĐ3, en: AL3}, subject: "station:song-dao", quantity: water_level, value: 4.3, unit: m, basis: "Quyết định", authority: "Thủ tướng", valid_from: "2020-03-15", colour: limit}
end
device song river-level
subscribe phuong "Phường ven sông" priority 1,2,3 rule flood-river-bd1,flood-river-bd2,flood-river-bd3
subscribe chihuy "Ban chỉ huy phòng thủ dân sự" priority 1 rule flood-river-bd1,flood-river-bd2,flood-river-bd3
01:00..02:00 every 1m song water_level=3.00..4.40
-> phuong raised flood-river-bd1 song
-> phuong raised flood-river-bd2 song
-> phuong withdrawn flood-river-bd1 song
= flood-river-bd1 song suppressed, flood-river-bd2 song unacknowledged
02:01..02:10 every 1m song water_level=4.40
-> chihuy raised flood-river-bd3 song
-> phuong raised flood-river-bd3 song
-> phuong withdrawn flood-river-bd2 song
= flood-river-bd1 song suppressed, flood-river-bd2 song suppressed, flood-river-bd3 song unacknowledged, flood-river-rising song unacknowledged
