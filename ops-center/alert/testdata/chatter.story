# Three comings and goings within a minute mark an alarm; a quiet one is not.
device a noise
rules
  - id: loud
    when: {threshold: {quantity: noise, above: 80}}
end
00:00 a noise=85
> loud a unacknowledged
00:10 a noise=50
> loud a returned
= loud a returned
00:20 a noise=85
> loud a unacknowledged
= loud a unacknowledged chattering
00:30 ack loud a by Lan
> loud a acknowledged
00:40 a noise=50
> loud a normal
05:00 a noise=85
> loud a unacknowledged
= loud a unacknowledged
