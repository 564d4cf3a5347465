# A rule for the day, in the city's calendar (here UTC): it ends with it.
device a noise
rules
  - id: loud
    schedule: {hours: ["00:10-00:20"]}
    when: {threshold: {quantity: noise, above: 80}}
end
09:00 a noise=90
10:00 a noise=90
> loud a unacknowledged
19:00 a noise=90
20:00 a noise=90
> loud a returned
