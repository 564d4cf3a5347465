# A department accepts or returns what it is given, with a reason; others may not
# answer for it.
device a noise
rules
  - id: loud
    when: {threshold: {quantity: noise, above: 80}}
end
00:00 a noise=85
> loud a unacknowledged
00:10 accept loud a by Tu of Drainage as officer
> conflict nobody
00:11 assign loud a by Lan to Drainage
> loud a unacknowledged
= loud a unacknowledged for Drainage
00:12 accept loud a by Bac of Lighting as officer
> refused not_yours
00:13 accept loud a by Tu of Drainage as officer
> loud a unacknowledged
00:14 accept loud a by Tu of Drainage as officer
= loud a unacknowledged for Drainage!accepted
00:15 return loud a by Tu of Drainage as officer blind
> refused reason_missing
00:16 return loud a by Tu of Drainage as officer
> loud a unacknowledged
= loud a unacknowledged for Drainage!returned
00:17 assign loud a by Lan to Lighting
> loud a unacknowledged
00:18 restart
= loud a unacknowledged for Lighting
