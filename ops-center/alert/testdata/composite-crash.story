# The parts are in the log and the whole is not: it follows after the crash, once.
device a noise
device b noise
rules
  - id: loud
    when: {threshold: {quantity: noise, above: 80}}
  - id: street
    when: {composite: {at_least: 2, of: [loud]}}
end
00:00 a noise=90
> loud a unacknowledged
crash
00:01 b noise=90
> loud b unacknowledged
> street city:all unacknowledged
crash
restart
= loud b unacknowledged, street city:all unacknowledged, loud a unacknowledged
