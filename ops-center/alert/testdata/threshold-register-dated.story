# The limit in force on the day of the reading.
device a air-quality
thresholds
limits:
  - {set: qcvn, level: day, name: {vi: x, en: x}, subject: "*", quantity: pm25, value: 50, unit: ug/m3, basis: b, authority: a, valid_from: "2023-01-01", valid_to: "2026-06-30"}
  - {set: qcvn, level: day, name: {vi: x, en: x}, subject: "*", quantity: pm25, value: 45, unit: ug/m3, basis: b, authority: a, valid_from: "2026-07-01"}
end
rules
  - id: dust
    when: {threshold: {quantity: pm25, ref: qcvn, level: day}}
end
00:00 a pm25=46
> dust a unacknowledged 46
