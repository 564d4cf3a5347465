# A rule judges its own profiles, devices and zones and nobody else's.
device a noise
device b noise
device r river-level
rules
  - id: by-profile
    scope: {profiles: [river_level]}
    when: {threshold: {quantity: temperature, above: 30}}
  - id: by-device
    scope: {devices: [b]}
    when: {threshold: {quantity: noise, above: 80}}
  - id: by-zone
    scope: {zones: [{layer: wards, codes: [hospital]}]}
    when: {threshold: {quantity: noise, above: 55}}
end
00:00 a noise=90 temperature=40
00:01 r temperature=40
> by-profile r unacknowledged
00:02 b noise=90
> by-device b unacknowledged
00:03 a noise=60 in wards/hospital
> by-zone a unacknowledged
00:04 a noise=60 in wards/market          # it was moved away
> by-zone a returned
