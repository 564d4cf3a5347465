# The first of July 2026 is a Wednesday.
device a noise
device b noise
rules
  - id: midweek
    scope: {devices: [a]}
    schedule: {days: [wed], dates: ["2026-07-01..2026-07-31"], months: ["06-01..10-31"]}
    when: {threshold: {quantity: noise, above: 80}}
  - id: weekend
    scope: {devices: [a]}
    schedule: {days: [sat, sun]}
    when: {threshold: {quantity: noise, above: 80}}
  - id: winter
    scope: {devices: [a]}
    schedule: {months: ["11-01..02-28"]}
    when: {threshold: {quantity: noise, above: 80}}
  - id: next-year
    scope: {devices: [a]}
    valid: 2027-01-01..2027-12-31
    when: {threshold: {quantity: noise, above: 80}}
end
00:00 a noise=90
> midweek a unacknowledged
