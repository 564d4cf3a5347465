# A level that begins over its value is not reached at it, and is left at it.
device r river-level
thresholds
stations:
  - {id: here, name: {vi: Đây, en: Here}, devices: [r]}
limits:
  - {set: most, level: "1", name: {vi: Giới hạn, en: Limit}, subject: "station:here", quantity: water_level, value: 3.2, over: true, unit: m, basis: QCVN, authority: BTNMT, valid_from: "2020-03-15"}
end
rules
  - id: over
    when: {threshold: {quantity: water_level, ref: most, level: 1}}
end
00:00 r water_level=3.20
01:00 r water_level=3.21
> over r unacknowledged 3.21
02:00 r water_level=3.22
03:00 r water_level=3.20
> over r returned
