# Marked false while open, or when it is over and the report comes in; once.
device a noise
rules
  - id: loud
    when: {threshold: {quantity: noise, above: 80}}
end
00:00 a noise=85
> loud a unacknowledged
00:10 false loud a by Lan blind
> refused reason_missing
00:11 ack loud a by Lan
> loud a acknowledged
00:20 a noise=50
> loud a normal
00:30 false loud closed:a by Minh
> loud a normal
00:31 false loud closed:a by Lan
> conflict Lan
01:00 restart
01:01 false loud closed:a by Lan
> conflict Lan
01:02 ack loud closed:a by Lan
> no alarm
