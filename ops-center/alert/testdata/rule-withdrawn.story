# A rule that is taken out of force clears its alarms; one that stays goes on
# in the middle of its delay.
device a noise
rules
  - id: loud
    when: {threshold: {quantity: noise, above: 80}}
  - id: long
    when: {threshold: {quantity: noise, above: 70, for: 60s}}
end
00:00 a noise=85
> loud a unacknowledged
00:30 apply
  - id: long
    when: {threshold: {quantity: noise, above: 70, for: 60s}}
end
> loud a returned
01:00 a noise=85
> long a unacknowledged
