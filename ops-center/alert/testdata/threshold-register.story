# The limit of the device's own station; where nobody knows it, nothing is judged.
device r river-level
device other river-level
thresholds
stations:
  - {id: nam-dinh, name: {vi: Nam Định, en: Nam Định}, devices: [r]}
  - {id: phu-le, name: {vi: Phú Lễ, en: Phú Lễ}, devices: [other]}
limits:
  - {set: river-bd, level: "1", name: {vi: BĐ1, en: BĐ1}, subject: "station:nam-dinh", quantity: water_level, value: 3.2, unit: m, basis: QĐ 05/2020, authority: TTg, valid_from: "2020-03-15"}
  - {set: river-bd, level: "1", name: {vi: BĐ1, en: BĐ1}, subject: "station:phu-le", quantity: water_level, value: null, unit: m, basis: QĐ 05/2020, authority: TTg, valid_from: "2020-03-15"}
end
rules
  - id: bd1
    when: {threshold: {quantity: water_level, ref: river-bd, level: 1, clear_by: 0.1}}
end
00:00 r water_level=3.19
00:00 other water_level=9.99
01:00 r water_level=3.20
> bd1 r unacknowledged 3.2
02:00 r water_level=3.12
03:00 r water_level=3.09
> bd1 r returned
